"""What a worker is told, as one frozen value."""

import os
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from headrace.core.ids import checked_name
from headrace.errors import InvalidInput
from headrace.files.protocol import FileStore
from headrace.settings import Settings

Lifespan = Callable[[], AbstractAsyncContextManager[object]]


def default_name() -> str:
    """A name no other worker has: host, process and a few random letters."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """The settings of one worker.

    ``queues`` gives per queue how many of its jobs may run at once here; None serves every queue of
    the namespace. ``concurrency`` bounds all jobs that run at once, of which ``threads`` in threads
    and ``processes`` in child processes. ``app_path`` (``module:attribute``) names the App or
    Registry that a child process imports; without it nothing runs in child processes. ``files`` are
    the stored files, ``files_at`` says to a child process where they are.

    A handler that was told to stop has ``stop_after_ms`` before it is told with more force. A worker
    that cannot renew a lease gives the job up ``margin_ms`` before the lease ends.
    """

    name: str = field(default_factory=default_name)
    queues: Mapping[str, int] | None = None
    concurrency: int = 100
    threads: int = field(default_factory=lambda: min(32, (os.cpu_count() or 1) + 4))
    processes: int = field(default_factory=lambda: os.cpu_count() or 1)
    lease_ms: int = 30_000
    renew_every_ms: int | None = None
    margin_ms: int | None = None
    grace_ms: int = 25_000
    stop_after_ms: int = 2_000
    poll_ms: int = 1_000
    batch: int = 1_000
    files: FileStore | None = None
    files_at: Settings | None = None
    lifespan: Lifespan | None = None
    app_path: str | None = None

    def __post_init__(self) -> None:
        for name in ("concurrency", "threads", "processes", "lease_ms", "poll_ms", "batch"):
            if getattr(self, name) < 1:
                msg = f"a worker's {name} must be at least 1"
                raise InvalidInput(msg, field=name)
        for queue, slots in (self.queues or {}).items():
            checked_name(queue, "queue")
            if slots < 1:
                msg = f"queue {queue!r} needs at least one slot"
                raise InvalidInput(msg, field="queues")
        if self.renew_ms + self.last_call_ms >= self.lease_ms:
            msg = "renew_every_ms and margin_ms together must be shorter than the lease"
            raise InvalidInput(msg, field="renew_every_ms")

    @property
    def renew_ms(self) -> int:
        """How often leases are renewed: a third of the lease, at most 10 s."""
        return min(10_000, self.lease_ms // 3) if self.renew_every_ms is None else self.renew_every_ms

    @property
    def last_call_ms(self) -> int:
        """How long before its end a lease that cannot be renewed is given up."""
        return self.lease_ms // 6 if self.margin_ms is None else self.margin_ms
