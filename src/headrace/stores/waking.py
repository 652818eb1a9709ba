"""Wake-ups: hints that there is work, within the process and between processes."""

from uuid import uuid4

from headrace.stores.channel import Channel
from headrace.stores.hints import Hints
from headrace.stores.listening import Heartbeat, Listener
from headrace.stores.notice import Notice
from headrace.stores.notifying import Notifier, Timing


class Wakeups:
    """Gives hints to this process at once, and to others through the server.

    Hints may be lost (C47). Usable from all event loops of the process.
    """

    def __init__(
        self, channel: Channel, *, timing: Timing | None = None, heartbeat: Heartbeat | None = None
    ) -> None:
        self._channel = channel
        self._hints = Hints(_nothing)
        sender = uuid4().hex
        self._notifier = Notifier(channel, sender, timing)
        self._listener = Listener(
            channel, sender, self._give, self._hints.give_known, heartbeat or Heartbeat()
        )

    @property
    def heard(self) -> bool:
        """Whether the hints of other processes are heard; else one has to poll."""
        return self._listener.heard

    def wake(self, namespace: str, queues: frozenset[str]) -> None:
        """Hints that there is work on these queues. Never blocks."""
        self._hints.give(namespace, queues)
        self._notifier.tell(namespace, queues)

    def remind(self, namespace: str, queues: frozenset[str]) -> None:
        """Hints to this process alone that there is work on these queues. Never blocks."""
        self._hints.give(namespace, queues)

    async def woken(self, namespace: str, queues: frozenset[str] | None, timeout_ms: int) -> bool:
        """Waits for a hint about one of these queues (None: any), or for the time-out; True if hinted."""
        self._channel.refuse_closed()
        self._listener.begin()
        return await self._hints.wait(namespace, queues, timeout_ms)

    async def described(self) -> str:
        """How this process learns of others' work: ``listening``, or ``polling`` and why.

        Begins to listen, if nobody has had to wait yet, to see whether it works.
        """
        reason = self._channel.why_deaf
        if reason is None:
            self._listener.begin()
            await self._listener.settled()
            reason = self._listener.trouble.latest or "not connected yet"
        return "listening" if self.heard else f"polling: {reason}"

    async def close(self) -> None:
        """Sends what was accepted and stops listening. Idempotent."""
        await self._notifier.close()
        await self._listener.close()

    def _give(self, notice: Notice) -> None:
        if notice.places is None:
            self._hints.give_everywhere()
            return
        queues: dict[str, set[str]] = {}
        for namespace, queue in notice.places:
            queues.setdefault(namespace, set()).add(queue)
        for namespace, names in queues.items():
            self._hints.give(namespace, frozenset(names))


def _nothing() -> None:
    """Nobody has to be called when somebody begins to wait: that is seen to before."""
