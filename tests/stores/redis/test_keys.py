"""The catalogue of keys: what the guide says of it, and that no key lies outside of it."""

import inspect
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.core.limit_names import lane_of_limit
from headrace.core.outcomes import Stopped
from headrace.core.unique import Unique
from headrace.stores.protocol import EventKeep, LogLine, Receipt, Record, Swap
from headrace.stores.redis.keys import SEPARATOR, Keys
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    SUCCESS,
    a_failure,
    a_hello,
    a_job,
    enqueue,
    note,
    settle,
)
from tests.contract.flowing import DYING, a_child, a_running_parent, edge
from tests.contract.gated import GPU, define, limited, ordered, rate, slots, taken
from tests.contract.test_steps import a_signal, a_step

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "redis.md"
BEGIN, END = "|---|---|---|\n", "<!-- end of keys -->"
NAMES = {"job_id": "id", "batch_id": "id", "job_type": "type"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of key."""

    key: str
    type: str
    holds: str

    @property
    def row(self) -> str:
        return f"| `{self.key}` | {self.type} | {self.holds} |\n"


def catalogue(namespace: str = "namespace") -> Iterator[Entry]:
    """What the program says of its keys."""
    keys = Keys("headrace", namespace)
    yield Entry("headrace:namespaces", "set", "the namespaces in which anything was ever written")
    yield Entry("headrace:schema", "text", "the number of this layout, and the oldest that can work with it")
    for name, member in vars(Keys).items():
        if name.startswith("_") or not (isinstance(member, property) or inspect.isfunction(member)):
            continue
        getter = member.fget if isinstance(member, property) else member
        if isinstance(member, property):
            key = getattr(keys, name)
        else:
            places = list(inspect.signature(member).parameters)[1:]
            key = member(keys, *(f"<{NAMES.get(place, place)}>" for place in places))
        kind, _, holds = inspect.getdoc(getter).partition(": ")
        yield Entry(key.replace(SEPARATOR, "\\x1f"), kind[0].lower() + kind[1:], holds.rstrip("."))


def test_guide_tells_of_each_key():
    """``python -m tests.stores.redis.test_keys`` writes the table anew."""
    assert GUIDE.read_text() == with_the_table(GUIDE.read_text())


def with_the_table(text: str) -> str:
    """The guide with the table as it should be."""
    begin = text.index(BEGIN, text.index("<!-- keys")) + len(BEGIN)
    return text[:begin] + "".join(entry.row for entry in catalogue()) + text[text.index(END) :]


def pattern_of(entry: Entry) -> str:
    literal = re.escape(entry.key.replace("\\x1f", SEPARATOR))
    return re.sub(r"<\w+>", ".+", literal)


async def test_no_key_lies_outside_of_the_catalogue(store, client):
    """After something of everything: jobs in all states, all they can have, and what lies beside them."""
    await store.keep_events(NAMESPACE, EventKeep(keep_ms=HOUR, keep_count=100))
    parent = await a_running_parent(store)
    await define(store, slots("gpu", 1), rate("mail", 5))
    await enqueue(
        store,
        a_job(unique=Unique(key="u"), receipt=Receipt(key="r", until=NOW + HOUR), tags=("t",), batch_id="b"),
        *(limited(GPU) for _ in range(3)),
        *(ordered("7") for _ in range(3)),
        limited(lane_of_limit("mail")),
        a_job(type="nobody-knows-it"),
        a_job(due_at=NOW + HOUR),
    )
    child = a_child()
    await store.insert(NAMESPACE, [child], now=NOW, edges=[edge(child, parent.id)])
    await store.signal(NAMESPACE, child.facts.id, a_signal())
    running = [*await taken(store), *await taken(store)]
    line = LogLine(at=NOW, level="info", message="hi")
    for job in running:
        await note(store, job, progress="5", lines=(line,), steps=(a_step(),))
    for job, outcome in zip(running, itertools.cycle([SUCCESS, a_failure(), Stopped()]), strict=False):
        await settle(store, job, outcome, policy=DYING)
    await store.swap(NAMESPACE, [Swap(key="loop:a", revision=0, value="1", due_at=NOW)])
    there = (await store.read(NAMESPACE, ["loop:a"]))["loop:a"]
    await store.swap(NAMESPACE, [Swap(key="loop:a", revision=there.revision, value=None)])
    await store.swap(NAMESPACE, [Swap(key="loop:b", revision=0, value="1", due_at=NOW)])
    await store.append(NAMESPACE, "file", [Record(key="f", at=NOW, body="{}", until=NOW + HOUR)])
    await store.set_paused(NAMESPACE, "mail", paused=True)
    await store.hello(a_hello())

    patterns = [re.compile(pattern_of(entry)) for entry in catalogue(NAMESPACE)]
    strange = {key for key in client.keys("*") if not any(one.fullmatch(key) for one in patterns)}
    unseen = {one.pattern for one in patterns if not any(one.fullmatch(key) for key in client.keys("*"))}

    assert strange == set()
    assert len(unseen) < len(patterns) / 3  # the workload shows most of them


if __name__ == "__main__":
    GUIDE.write_text(with_the_table(GUIDE.read_text()))
