"""The move, step by step. Each step may be broken off and done again."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from headrace.core.filters import JobFilter
from headrace.core.states import LIVE
from headrace.errors import OutcomeUnknown, StoreUnavailable
from headrace.moving import beginning
from headrace.moving.beginning import Begun
from headrace.moving.jobs import Found, JobPass, Kind
from headrace.moving.late import LateJobs
from headrace.moving.planning import Plan, plan
from headrace.moving.queues import Pauses
from headrace.moving.quiet import refuse_if_anything_runs, rescue, wait_until_quiet
from headrace.moving.registers import Stage
from headrace.moving.report import Report
from headrace.moving.sides import Said, Side, Surroundings
from headrace.moving.things import ThingsFound, ThingsPass
from headrace.moving.walking import Selection, oldest_first

PASSES: Final = 6
"""So often both sides are gone through until nothing differs; producers that never rest must be stopped."""

OUTAGE_PAUSE: Final = 2.0
_STOP: Final = "Stop the workers, or add --wait to wait for them."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How to move.

    ``wait``: for workers to go. ``ended``: also what has ended. ``patience``: how many times in a row the
    move is tried again after an outage of a store, before it is broken off.
    """

    wait: bool = False
    ended: bool = False
    patience: int = 0


async def move(source: Side, target: Side, wishes: Wishes, around: Surroundings) -> Report:
    """Moves a namespace. Raises MoveRefused, StoreError; run again it goes on where it stopped."""
    left = wishes.patience
    while True:
        mover = Mover(source, target, wishes, around)
        try:
            return await mover.run()
        except (StoreUnavailable, OutcomeUnknown) as error:
            left = wishes.patience if mover.progressed else left
            if left <= 0:
                raise
            left -= 1
            around.say(Said(f"a store is away, trying again: {error}"))
            await around.pause(OUTAGE_PAUSE)


class Mover:
    """One attempt at a move."""

    def __init__(self, source: Side, target: Side, wishes: Wishes, around: Surroundings) -> None:
        self._source = source
        self._target = target
        self._wishes = wishes
        self._around = around
        self.progressed = False

    async def run(self) -> Report:
        """Moves all that is left to be moved."""
        found = await beginning.standing(self._source, self._target)
        handed_over = found.incoming is not None and found.incoming.stage is not Stage.COPYING
        if not self._wishes.wait:
            await refuse_if_anything_runs(self._source, help_text=_STOP)
        if not handed_over:
            await refuse_if_anything_runs(
                self._target, help_text="Start workers there when the jobs have been moved."
            )
        begun = await beginning.begin(self._source, self._target, self._around)
        self.progressed = True
        report = await self._moved(begun)
        await begun.lease.give_back()
        return report

    async def _moved(self, begun: Begun) -> Report:
        match begun.lease.state.stage:
            case Stage.COPYING:
                return await self._move_all(begun)
            case Stage.VERIFIED:
                # queues of the target may be open already, so nothing may be compared any more
                pauses = Pauses(self._source, self._target, begun.lease)
                report = Report(source=self._source.name, target=self._target.name, verified=True)
                return await self._finish(begun, pauses, report)
            case Stage.DONE:
                return await self._move_late(begun)

    async def _move_all(self, begun: Begun) -> Report:
        pauses = Pauses(self._source, self._target, begun.lease)
        await pauses.all()
        planned = await plan(self._source, ended=self._wishes.ended)
        report = await self._until_alike(begun, pauses, planned)
        if not report.verified:
            return report
        await begun.lease.reach(Stage.VERIFIED, up_to=report.up_to)
        return await self._finish(begun, pauses, report)

    async def _until_alike(self, begun: Begun, pauses: Pauses, planned: Plan) -> Report:
        """Goes through both sides until a pass finds nothing to be done."""
        moved = mended = passes = rescued = 0
        while True:
            passes += 1
            self._around.say(Said("copying" if passes == 1 else f"comparing, pass {passes}"))
            await pauses.all()
            rescued += await self._silenced(begun)
            things = ThingsPass(self._source, self._target, begun.lease, self._around)
            await things.before_jobs()
            jobs = JobPass(self._source, self._target, begun.lease, pauses, self._around)
            selection = Selection(ended=self._wishes.ended)
            found = await jobs.run(selection, expected=planned.expected)
            beside = await things.after_jobs()
            moved += found.adopted
            mended += found.mended
            alike = not (found.changed or beside.written or beside.differences)
            if alike or passes == PASSES or _hopeless(found, beside):
                break
        report = await self._report(found, beside, planned)
        return replace(
            report,
            moved=moved,
            mended=mended,
            passes=passes,
            rescued=rescued,
            verified=report.verified and alike,
        )

    async def _silenced(self, begun: Begun) -> int:
        """Makes sure that nothing runs at the source; how many jobs were taken away from lost holders."""
        if self._wishes.wait:
            await wait_until_quiet(self._source, self._around, begun.lease.keep)
        else:
            await refuse_if_anything_runs(self._source, help_text=_STOP)
        return await rescue(self._source)

    async def _report(self, found: Found, beside: ThingsFound, planned: Plan) -> Report:
        """Compares what was seen of the source with what the target itself counts."""
        counted = await self._target.store.tallies(self._target.namespace)
        there = Counter({(one.queue, one.type, one.state.value): one.count for one in counted if one.count})
        living = Counter({key: count for key, count in found.jobs.items() if key[2] in LIVE})
        living_there = Counter({key: count for key, count in there.items() if key[2] in LIVE})
        differences = [str(one) for one in found.differences.values()] + beside.differences
        differences += _count_differences(living, living_there)
        return Report(
            source=self._source.name,
            target=self._target.name,
            verified=not differences,
            compared=found.compared,
            out_of_order=found.out_of_order,
            source_counts=found.jobs,
            target_counts=there,
            things=dict(sorted(beside.counts.items())),
            differences=tuple(differences),
            up_to=found.up_to,
            arrived=await self._arrived(found.up_to),
            stays=planned.stays,
        )

    async def _finish(self, begun: Begun, pauses: Pauses, report: Report) -> Report:
        """Hands the jobs over: from here on the target is where they are."""
        await ThingsPass(self._source, self._target, begun.lease, self._around).events()
        done = replace(begun.outgoing, done_at=self._source.clock.now())
        await beginning.finish_outgoing(self._source, done)
        await pauses.give_back()
        await begun.lease.reach(Stage.DONE)
        paused = sorted(name for name, was in begun.lease.state.paused.items() if was)
        return replace(report, paused=tuple(paused))

    async def _move_late(self, begun: Begun) -> Report:
        """Takes along what was enqueued at the source after the move. The target is at work by now."""
        planned = await plan(self._source, ended=self._wishes.ended)
        late = LateJobs(self._source, self._target, begun.lease)
        moved, differences = await late.run()
        return Report(
            source=self._source.name,
            target=self._target.name,
            verified=not differences,
            late=True,
            moved=moved,
            differences=differences,
            stays=planned.stays,
        )

    async def _arrived(self, up_to: int) -> int:
        """How many jobs have come to the source since."""
        selection = Selection(above=up_to)
        wanted = JobFilter(states=selection.states)
        count = 0
        async for page in oldest_first(self._source, wanted, above=up_to):
            count += sum(map(selection.takes, page))
        return count


def _hopeless(found: Found, beside: ThingsFound) -> bool:
    """Whether a further pass would find the same: there are differences, and nothing was written."""
    return not (found.adopted or found.mended or beside.written)


def _count_differences(here: Counter[Kind], there: Counter[Kind]) -> list[str]:
    return [
        f"{state} jobs of {kind} in queue {queue}: {here[queue, kind, state]} at the source,"
        f" {there[queue, kind, state]} counted by the target"
        for queue, kind, state in sorted({*here, *there})
        if here[queue, kind, state] != there[queue, kind, state]
    ]
