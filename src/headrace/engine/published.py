"""Job types as registers of the store, so that processes without their code can decide and show them."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from headrace.clock import Clock
from headrace.core.chunk import ChunkRule
from headrace.core.limit_keys import KeyRules
from headrace.core.policy import Policy
from headrace.engine.operations import Runs, TypeInfo
from headrace.stores.protocol import Register, Registers, Swap

PREFIX: Final = "type/"
REFRESH_MS: Final = 10_000


class PublishedTypes:
    """Reads and writes the published job types of one namespace, with a short-lived cache."""

    def __init__(self, registers: Registers, namespace: str, clock: Clock) -> None:
        self._registers = registers
        self._namespace = namespace
        self._clock = clock
        self._cache: dict[tuple[str, int], TypeInfo] = {}
        self._read_at: int | None = None

    async def publish(self, infos: Sequence[TypeInfo]) -> None:
        """Makes these job types known; the last publisher of a name and version wins."""
        keys = {_key(info.name, info.version): info for info in infos}
        for _ in range(10):
            known = await self._registers.read(self._namespace, tuple(keys))
            swaps = [
                Swap(key=key, revision=known[key].revision if key in known else 0, value=_dump(info))
                for key, info in keys.items()
                if key not in known or known[key].value != _dump(info)
            ]
            if not swaps or await self._registers.swap(self._namespace, swaps):
                break
        self._read_at = None

    async def all(self) -> tuple[TypeInfo, ...]:
        """Every published job type, by name and version."""
        await self._refresh()
        return tuple(self._cache[key] for key in sorted(self._cache))

    async def latest(self, name: str) -> TypeInfo | None:
        """The newest version published under a name."""
        await self._refresh()
        found = [info for (one, _), info in self._cache.items() if one == name]
        return max(found, key=lambda info: info.version, default=None)

    async def policy(self, name: str, version: int) -> Policy:
        """The policy stored for this type and version; the default one if nobody published it."""
        await self._refresh()
        info = self._cache.get((name, version))
        return _DEFAULT if info is None else info.policy

    def cached_policy(self, name: str, version: int) -> Policy | None:
        """As ``policy``, without asking the store; None if that is needed."""
        if self._read_at is None or self._clock.now() - self._read_at > REFRESH_MS:
            return None
        info = self._cache.get((name, version))
        return _DEFAULT if info is None else info.policy

    async def _refresh(self) -> None:
        now = self._clock.now()
        if self._read_at is None or now - self._read_at > REFRESH_MS:
            found = await self._registers.scan(self._namespace, PREFIX)
            self._cache = {(info.name, info.version): info for info in map(_load, found)}
            self._read_at = now


_DEFAULT: Final = Policy()


def _key(name: str, version: int) -> str:
    return f"{PREFIX}{name}/{version}"


def _dump(info: TypeInfo) -> str:
    chunk = {} if info.chunk is None else {"chunk": asdict(info.chunk)}
    keys = {} if info.keys is None else {"keys": info.keys.to_json()}
    return json.dumps(
        {
            **chunk,
            **keys,
            "name": info.name,
            "version": info.version,
            "queue": info.queue,
            "priority": info.priority,
            "runs": info.runs.value,
            "policy": info.policy.dumps(),
            "schema": info.schema,
            "description": info.description,
        },
        sort_keys=True,
    )


def _load(register: Register) -> TypeInfo:
    raw = json.loads(register.value)
    return TypeInfo(
        name=raw["name"],
        version=raw["version"],
        queue=raw["queue"],
        priority=raw["priority"],
        runs=Runs(raw["runs"]),
        policy=Policy.loads(raw["policy"]),
        schema=raw["schema"],
        description=raw["description"],
        chunk=None if raw.get("chunk") is None else ChunkRule(**raw["chunk"]),
        keys=None if raw.get("keys") is None else KeyRules.of_json(raw["keys"]),
    )
