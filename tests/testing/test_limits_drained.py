"""Tests of a program with limits: what a rate holds back starts when its time has come."""

from headrace import App, ManualClock, Rate, Settings, Slots
from headrace.testing import advance, drain
from tests.builders import NOW


async def test_jobs_of_a_rate_start_as_their_lane_opens() -> None:
    async with App("sqlite://", settings=Settings(), clock=ManualClock(NOW)) as app:
        starts: list[int] = []

        @app.job(rate=Rate(2, per=3_600))
        async def send(n: int) -> None:
            del n
            assert app.given_clock is not None
            starts.append(app.given_clock.now() - NOW)

        await app.enqueue_many([send.request(n=n) for n in range(4)])
        at_once = await drain(app)
        later = await advance(app, 4 * 3_600)

        assert (len(at_once), len(later)) == (1, 3)
        hours = [round(at / 3_600_000, 1) for at in starts]
        assert hours == [0.0, 0.5, 1.0, 1.5]


async def test_slots_do_not_keep_a_drain_from_coming_to_its_end() -> None:
    async with App("sqlite://", settings=Settings(), clock=ManualClock(NOW)) as app:

        @app.job(concurrency=Slots(1, key="user"), order_by="user")
        async def send(user: int) -> None: ...

        await app.enqueue_many([send.request(user=n % 3) for n in range(9)])

        assert len(await drain(app)) == 9
