-- Wake-ups that come with what is written.

-- {'hint', channel, notice}. A hint may be lost, and must not be the reason why what it is about is.
DO.hint = function(w) redis.pcall('PUBLISH', w[2], w[3]) end
