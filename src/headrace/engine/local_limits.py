"""The operations on limits, over a store."""

from collections.abc import Collection, Sequence

from headrace.core.limit_register import Keep
from headrace.core.limits import Limit, Rate
from headrace.engine.limit_operations import LimitDetails, LimitView
from headrace.engine.limits import DefinedLimits


class LocalLimits:
    """Passes on to the limits; what each call promises stands at ``LimitOperations``."""

    limit_engine: DefinedLimits

    async def limits(self) -> Sequence[LimitView]:
        return await self.limit_engine.all()

    async def limit(self, name: str) -> LimitDetails:
        return await self.limit_engine.one(name)

    async def set_limit(
        self, name: str, *, slots: int | Keep | None = Keep.AS_IS, rate: Rate | Keep | None = Keep.AS_IS
    ) -> Limit:
        return await self.limit_engine.set(name, slots, rate)

    async def reset_limit(self, name: str) -> Limit | None:
        return await self.limit_engine.reset(name)

    async def declare_limits(self, limits: Collection[Limit], types: Collection[str]) -> None:
        await self.limit_engine.declare(limits, types)
