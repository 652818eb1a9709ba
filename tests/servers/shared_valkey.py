"""The Valkey that all tests of a process share: started when the first of them wants it.

With ``HEADRACE_TEST_REDIS=redis://…`` in the environment it is that server instead. Tests empty its logical
databases, all but the first; the test workers of a run have some of them each. Tests share a server of the
machine's own program as well, where there is one.
"""

import os
from collections import deque
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import redis

from tests.servers import valkey_binaries
from tests.servers.valkey import ValkeyServer, client_of

ELSEWHERE = "HEADRACE_TEST_REDIS"
DATABASES = 1_000
USUAL_DATABASES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A process that runs tests, and how many of them there are."""

    number: int
    count: int

    @classmethod
    def this(cls) -> "Worker":
        name = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
        count = os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
        return cls(number=int(name.removeprefix("gw")), count=int(count))

    def share(self, databases: int) -> list[int]:
        """This worker's databases out of so many that all of them share, of which nobody has the first."""
        return list(range(1 + self.number, databases, self.count))


class SharedValkey:
    """A server, and an empty logical database of it for each test.

    Databases share what belongs to the server: channels, functions and scripts, settings, and its memory.
    A server of a program that is named is started whatever the environment says.
    """

    def __init__(self, program: Path | None = None) -> None:
        self._program = program
        self._ends = ExitStack()
        self._taken: list[int] = []

    @cached_property
    def server_url(self) -> str:
        """The URL of the server, without a database."""
        if url := self._elsewhere:
            return urlsplit(url)._replace(path="").geturl()
        server = ValkeyServer.start(program=self._program, settings={"databases": str(DATABASES)})
        return urlsplit(self._ends.enter_context(server).url())._replace(path="").geturl()

    def fresh_url(self) -> str:
        """The URL of an empty database that is the caller's until ``drop``."""
        if not self._free:
            raise LookupError(f"{ELSEWHERE} has too few databases: raise its setting, or run fewer workers")
        number = self._free.popleft()
        self._taken.append(number)
        self._flush(number)
        return self._url(number)

    def drop(self) -> None:
        """Empties all databases that were given away, and takes them back."""
        while self._taken:
            number = self._taken.pop()
            self._flush(number)
            self._free.append(number)  # last in the line: whoever still writes there disturbs nobody soon

    def close(self) -> None:
        self._ends.close()

    @property
    def _elsewhere(self) -> str | None:
        return os.environ.get(ELSEWHERE) if self._program is None else None

    @cached_property
    def _free(self) -> deque[int]:
        if not self._elsewhere:
            return deque(range(1, DATABASES))
        return deque(Worker.this().share(self._databases()))

    def _databases(self) -> int:
        """How many databases the server has; hosted ones do not tell, and have as many as is usual."""
        with closing(client_of(self._url(0), decode_responses=True)) as client:
            try:
                return int(client.config_get("databases")["databases"])
            except redis.ResponseError:
                return USUAL_DATABASES

    def _flush(self, number: int) -> None:
        with closing(client_of(self._url(number))) as client:
            client.flushdb()

    def _url(self, number: int) -> str:
        return urlsplit(self.server_url)._replace(path=f"/{number}").geturl()


SHARED_VALKEY = SharedValkey()
SHARED_INSTALLED = SharedValkey(program) if (program := valkey_binaries.installed()) else None
"""The same of the machine's own program, if it has one."""

ALL_SHARED = (SHARED_VALKEY,) if SHARED_INSTALLED is None else (SHARED_VALKEY, SHARED_INSTALLED)
