"""Where the commands end that a client sends to a Redis or Valkey."""

END = b"\r\n"
ARRAY = b"*"


class RespCommands:
    """One message for each command, of which a pipeline sends many at once."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, piece: bytes) -> list[bytes]:
        self._buffer += piece
        commands = []
        while length := self._length():
            command, self._buffer = self._buffer[:length], self._buffer[length:]
            commands.append(command)
        return commands

    def rest(self) -> bytes:
        return self._buffer

    def _length(self) -> int:
        """The length of the next command, or 0 until it is there as a whole."""
        if not (end := self._line_end(0)):
            return 0
        if not self._buffer.startswith(ARRAY):
            return end  # a command typed as a line
        for _ in range(int(self._buffer[1:end])):
            if not (line := self._line_end(end)):
                return 0
            end = line + int(self._buffer[end + 1 : line]) + len(END)
        return end if end <= len(self._buffer) else 0

    def _line_end(self, start: int) -> int:
        """Where the line that starts here is over, or 0 until its end is there."""
        found = self._buffer.find(END, start)
        return 0 if found < 0 else found + len(END)
