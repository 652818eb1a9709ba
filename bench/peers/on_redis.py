"""The peers on Redis. None is told to keep what has ended, so none has a history.

The streams of repid and taskiq keep it all the same, until they are trimmed: of those is counted what was
not read yet, and what was read and not acknowledged.
"""

from bench.peers.catalogue import Peer

# What a worker holds is of no use to the next turn, which empties the server.
GRACE = 0.5

STREAM = """
local groups = redis.call('EXISTS', KEY) == 1 and redis.call('XINFO', 'GROUPS', KEY) or {}
if #groups == 0 then return redis.call('XLEN', KEY) end
local left = 0
for _, group in ipairs(groups) do
    for i = 1, #group, 2 do
        if group[i] == 'pending' or group[i] == 'lag' then left = left + (group[i + 1] or 0) end
    end
end
return left
"""
STREAMS = """
local left = 0
for _, key in ipairs(redis.call('KEYS', 'streaq:bench:queues:*')) do
    local stream = redis.call('TYPE', key).ok == 'stream'
    left = left + redis.call(stream and 'XLEN' or 'ZCARD', key)
end
return left
"""
BULLMQ = """
local left = redis.call('LLEN', 'bull:bench:wait') + redis.call('LLEN', 'bull:bench:active')
for _, state in ipairs({'prioritized', 'delayed', 'failed'}) do
    left = left + redis.call('ZCARD', 'bull:bench:' .. state)
end
return left
"""
RQ = """
local left = redis.call('LLEN', 'rq:queue:bench')
for _, state in ipairs({'wip', 'failed'}) do left = left + redis.call('ZCARD', 'rq:' .. state .. ':bench') end
return left
"""


def _peer(name: str, waiting: str, *, jobs: int, calls: int, **more: bool | float | str) -> Peer:
    return Peer(name=name, waiting=waiting, jobs=jobs, calls=calls, schema=False, grace=GRACE, **more)


ON_REDIS = (
    _peer("bullmq", BULLMQ, jobs=40_000, calls=4_000, node=True),
    _peer("repid", STREAM.replace("KEY", "'repid:bench'"), jobs=15_000, calls=5_000, bulk=False),
    _peer(
        "huey",
        "return redis.call('LLEN', 'huey.redis.bench')",
        jobs=8_000,
        calls=5_000,
        bulk=False,
        files="huey-redis",
    ),
    _peer("taskiq", STREAM.replace("KEY", "'bench'"), jobs=6_000, calls=3_000, bulk=False),
    _peer(
        "dramatiq",
        "return redis.call('HLEN', 'dramatiq:bench.msgs') + redis.call('ZCARD', 'dramatiq:bench.XQ')",
        jobs=6_000,
        calls=4_000,
        bulk=False,
    ),
    _peer("bullmq-python", BULLMQ, jobs=5_000, calls=4_000),
    _peer(
        "saq",
        "return redis.call('ZCARD', 'saq:default:incomplete')",
        jobs=4_000,
        calls=3_000,
        bulk=False,
        files="saq-redis",
    ),
    _peer("arq", "return redis.call('ZCARD', 'arq:queue')", jobs=3_000, calls=2_500, bulk=False, poll=0.5),
    _peer("streaq", STREAMS, jobs=3_000, calls=2_500),
    _peer(
        "celery",
        "return redis.call('LLEN', 'bench') + redis.call('HLEN', 'unacked')",
        jobs=3_000,
        calls=1_500,
        bulk=False,
    ),
    _peer("rq", RQ, jobs=1_000, calls=2_000),
)
