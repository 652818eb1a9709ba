"""Runs what is due, and lets time pass."""

from headrace.app import App
from headrace.clock import ManualClock
from headrace.errors import MisuseError
from headrace.testing.driver import Ran, driving


async def drain(app: App) -> list[Ran]:
    """Runs due jobs until nothing is due, in this event loop; returns the attempts in the order they ran.

    Jobs run one at a time and settle as in a worker: what fails waits for its back-off, children run too, the
    chores of upkeep are done in between. A handler with ``runs="process"`` runs here. Nothing but time limits
    takes real time. Raises MisuseError if it does not come to an end.
    """
    async with driving(app) as driver:
        return await driver.run_due()


async def advance(app: App, seconds: float) -> list[Ran]:
    """Lets so much time pass on the app's ManualClock, and runs each job when it is due.

    The clock stops at every instant at which something happens: a job that is delayed or waits for another
    attempt, a lease that ends, a schedule that fires, a lane that opens. Raises MisuseError for an app with
    another clock.
    """
    clock = (await app.open()).clock
    if not isinstance(clock, ManualClock):
        msg = "only a ManualClock can be moved: App(url, clock=ManualClock())"
        raise MisuseError(msg)
    end = clock.now() + round(seconds * 1000)
    async with driving(app) as driver:
        ran = await driver.run_due()
        while (instant := await driver.next_instant()) is not None and instant <= end:
            clock.advance((instant - clock.now()) / 1000)
            ran += await driver.run_due()
        clock.advance(max(0, end - clock.now()) / 1000)
        return ran + await driver.run_due()


def drain_sync(app: App) -> list[Ran]:
    """As ``drain``, for tests without an event loop."""
    return app.portal.call(lambda: drain(app))


def advance_sync(app: App, seconds: float) -> list[Ran]:
    """As ``advance``, for tests without an event loop."""
    return app.portal.call(lambda: advance(app, seconds))
