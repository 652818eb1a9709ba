"""A client that asks for the same few keys: ``python -m tests.crash.kit.keyed '<KeyedSpec as JSON>'``.

Each answer is a line in a log. A call that got no answer is made again where an idempotency key makes that
safe (C5); of others the job may be there or not.
"""

import asyncio
import dataclasses
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from headrace.clock import StoreClock
from headrace.core.request import EnqueueRequest
from headrace.core.unique import OnConflict, Unique, Until
from headrace.engine.local import LocalOperations
from headrace.errors import DuplicateJob, IdempotencyMismatch, StoreError
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from tests.crash.kit.children import tie_to_parent
from tests.crash.kit.clocks import mono_ms, store_ms
from tests.crash.kit.jobs import registry
from tests.crash.kit.ledger import append, lines_of

MODULE: Final = "tests.crash.kit.keyed"

FINISHED: Final = "until-finished"
STARTED: Final = "until-started"
PERIOD: Final = "period"
IDEMPOTENT: Final = "idempotent"

PERIOD_MS: Final = 700
EPOCH_MS: Final = 500
"""So often there are new idempotency keys for all clients to race for."""

BACK: Final = (0, 0, 0, 0, 1, 1, 2, 4, 8, 16)
"""How old the idempotency keys are that are asked for, in epochs."""

REFUSED: Final = "refused"
OTHER_BODY: Final = "refused with another body"
NO_ANSWER: Final = "without an answer"

ASKS: Final = (
    (FINISHED, OnConflict.EXISTING),
    (FINISHED, OnConflict.REJECT),
    (STARTED, OnConflict.EXISTING),
    (STARTED, OnConflict.REJECT),
    (STARTED, OnConflict.REPLACE),
    (PERIOD, OnConflict.EXISTING),
    (IDEMPOTENT, OnConflict.EXISTING),
    (IDEMPOTENT, OnConflict.EXISTING),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedSpec:
    """Who asks, for how many keys of each kind, where it writes, and the file whose coming ends it."""

    url: str
    seed: int
    keys: int
    log: str
    stop: str

    def dumps(self) -> str:
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One call: the key and body it named, what was told of each of its jobs, and when by both clocks."""

    key: str
    body: str
    told: tuple[str, ...]
    jobs: tuple[str, ...]
    invoked: float
    answered: float
    at: int

    @property
    def kind(self) -> str:
        """Which kind of key it is."""
        return self.key.rpartition("-")[0]


def answers_in(log: Path) -> list[Answer]:
    """All answers in a log, in the order of writing."""
    return [_answer(line) for line in lines_of(log)]


def unique_request(key: str, conflict: OnConflict, **payload: object) -> EnqueueRequest:
    """A job under a unique key, whose scope is as the key's name says."""
    kind = key.rpartition("-")[0]
    unique = Unique(
        key=key,
        until=Until.STARTED if kind == STARTED else Until.FINISHED,
        on_conflict=conflict,
        period_ms=PERIOD_MS if kind == PERIOD else None,
    )
    return EnqueueRequest(type="fleeting", payload={"key": key, **payload}, unique=unique)  # type: ignore[dict-item]


def idempotent_request(key: str, body: str) -> EnqueueRequest:
    """A job under an idempotency key, the same whenever key and body are."""
    return EnqueueRequest(type="fleeting", payload={"key": key, "body": body, "ms": 5}, idempotency_key=key)


class Asker:
    """One client."""

    def __init__(self, operations: LocalOperations, spec: KeyedSpec) -> None:
        self._operations = operations
        self._spec = spec
        self._rng = random.Random(spec.seed)

    async def ask(self) -> None:
        """Makes one call, or several with one idempotency key until there is an answer."""
        kind, conflict = self._rng.choice(ASKS)
        if kind == IDEMPOTENT:
            key = f"{kind}-{max(0, store_ms() // EPOCH_MS - self._rng.choice(BACK))}"
            body = self._rng.choice("AAB")
            while await self._call(key, body, [idempotent_request(key, body)]) == (NO_ANSWER,):
                await asyncio.sleep(0.02)
            return
        key = f"{kind}-{self._rng.randrange(self._spec.keys)}"
        ms, failures = self._rng.randrange(30), self._rng.choice((0, 0, 0, 1))
        request = unique_request(key, conflict, ms=ms, failures=failures)
        await self._call(key, conflict, [request] * self._rng.choice((1, 1, 1, 2)))

    async def _call(self, key: str, body: str, requests: Sequence[EnqueueRequest]) -> tuple[str, ...]:
        told: tuple[str, ...]
        invoked = mono_ms()
        try:
            answers = await self._operations.enqueue(requests)
            told = tuple(one.kind.value for one in answers)
            jobs = tuple(one.job_id for one in answers)
        except DuplicateJob as refused:
            told, jobs = (REFUSED,), (refused.existing_id,)
        except IdempotencyMismatch as refused:
            told, jobs = (OTHER_BODY,), (refused.job_id,)
        except StoreError:
            told, jobs = (NO_ANSWER,), ()
        answer = Answer(
            key=key, body=body, told=told, jobs=jobs, invoked=invoked, answered=mono_ms(), at=store_ms()
        )
        append(Path(self._spec.log), dataclasses.asdict(answer))
        return told


async def _opened(url: str) -> Store:
    while True:
        try:
            return await open_store(url)
        except StoreError:
            await asyncio.sleep(0.05)


async def main(spec: KeyedSpec) -> None:
    store = await _opened(spec.url)
    clock = None
    while clock is None:
        try:
            clock = StoreClock(await store.now())
        except StoreError:
            await asyncio.sleep(0.05)
    asker = Asker(LocalOperations(store, clock, registry=registry), spec)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not Path(spec.stop).exists():
        await asker.ask()
        await asyncio.sleep(0.002)
    await store.close()


def _answer(line: dict[str, Any]) -> Answer:
    return Answer(**line | {"told": tuple(line["told"]), "jobs": tuple(line["jobs"])})


if __name__ == "__main__":
    tie_to_parent()
    asyncio.run(main(KeyedSpec(**json.loads(sys.argv[1]))))
