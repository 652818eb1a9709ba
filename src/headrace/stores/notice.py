"""What processes tell each other over a notification channel: where there is work."""

import json
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from headrace.stores.coalescing import Place

MOST_BYTES: Final = 7_999
"""The longest payload that every server carries: PostgreSQL carries no longer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """``sender`` is the process that speaks; ``places`` None: there may be work anywhere.

    ``beat`` numbers what a listener tells itself to see that it hears.
    """

    sender: str
    places: AbstractSet[Place] | None = None
    beat: int | None = None


def written(notice: Notice) -> str:
    """The payload. What would be too long says no more than that there is work."""
    if notice.beat is not None:
        return _text({"from": notice.sender, "beat": notice.beat})
    shortest = _text({"from": notice.sender})
    if notice.places is None:
        return shortest
    queues: dict[str, list[str]] = {}
    for namespace, queue in sorted(notice.places):
        queues.setdefault(namespace, []).append(queue)
    text = _text({"from": notice.sender, "to": queues})
    return text if len(text) <= MOST_BYTES else shortest  # only ASCII: a character is a byte


def read(payload: str) -> Notice:
    """The notice of a payload. What cannot be understood, such as a newer program's, means anywhere."""
    try:
        said = json.loads(payload)
        sender = str(said["from"])
        beat = said.get("beat")
        if beat is not None:
            return Notice(sender=sender, places=frozenset(), beat=int(beat))
        to = said.get("to")
        places = None if to is None else frozenset(_places(to))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Notice(sender="")
    return Notice(sender=sender, places=places)


def _places(to: Any) -> list[Place]:  # noqa: ANN401 - from another process
    return [(str(namespace), str(queue)) for namespace, queues in to.items() for queue in queues]


def _text(said: dict[str, object]) -> str:
    return json.dumps(said, separators=(",", ":"))
