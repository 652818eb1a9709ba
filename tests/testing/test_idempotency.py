"""Jobs that are lost at every place and repeated."""

from typing import Any

import pytest

from headrace import App, Backoff, Context, Permanent, Retry
from headrace.errors import MisuseError
from headrace.testing import ManualClock, NotIdempotent, check_idempotent


class Bank:
    """The world outside: what was charged, by key and again and again."""

    def __init__(self) -> None:
        self.charged: list[tuple[str, int]] = []

    def charge(self, key: str, amount: int) -> None:
        self.charged.append((key, amount))

    def charge_once(self, key: str, amount: int) -> None:
        if (key, amount) not in self.charged:
            self.charged.append((key, amount))


@pytest.fixture
def bank() -> Bank:
    return Bank()


def world(bank: Bank) -> dict[str, Any]:
    return {"effects": lambda: bank.charged, "reset": bank.charged.clear}


async def test_s2_46_job_that_passes_its_key_along_is_idempotent(app: App, bank: Bank) -> None:
    @app.job()
    async def pay(ctx: Context, amount: int) -> None:
        bank.charge_once(ctx.idempotency_key, amount)

    assert await check_idempotent(app, pay, 5, **world(bank)) == ("after its last word",)


async def test_s2_46_job_that_charges_again_when_it_is_repeated_is_found(app: App, bank: Bank) -> None:
    @app.job()
    async def pay(ctx: Context, amount: int) -> None:
        bank.charge(ctx.idempotency_key, amount)

    with pytest.raises(NotIdempotent) as told:
        await check_idempotent(app, pay, 5, **world(bank))

    assert str(told.value) == (
        "pay is not idempotent: its worker was lost after its last word, and the repeated job has done\n"
        "--- run once\n+++ repeated\n@@ -1 +1 @@\n"
        '-[("<the job\'s id>", 5)]\n'
        '+[("<the job\'s id>", 5), ("<the job\'s id>", 5)]'
    )


async def test_s2_46_effect_before_its_checkpoint_is_found_where_it_is_lost(app: App, bank: Bank) -> None:
    @app.job()
    async def pay(ctx: Context) -> None:
        for number in range(int(ctx.saved or 0), 3):  # type: ignore[call-overload]
            bank.charge("page", number)
            await ctx.checkpoint(number + 1)

    with pytest.raises(NotIdempotent, match="lost before checkpoint 1"):
        await check_idempotent(app, pay, **world(bank))


async def test_s2_46_job_is_lost_before_and_after_every_checkpoint(app: App, bank: Bank) -> None:
    @app.job()
    async def pay(ctx: Context) -> None:
        for number in range(int(ctx.saved or 0), 2):  # type: ignore[call-overload]
            bank.charge_once("page", number)
            await ctx.checkpoint(number + 1)

    assert await check_idempotent(app, pay, **world(bank)) == (
        "before checkpoint 1",
        "after checkpoint 1",
        "before checkpoint 2",
        "after checkpoint 2",
        "after its last word",
    )


async def test_s2_46_steps_are_lost_before_and_after_they_are_kept(app: App, bank: Bank) -> None:
    @app.job()
    async def pay(ctx: Context) -> None:
        await ctx.step("charge", bank.charge_once, ctx.idempotency_key, 1)
        await ctx.sleep(60)
        await ctx.step("charge", bank.charge_once, ctx.idempotency_key, 2)

    places = await check_idempotent(app, pay, **world(bank))

    assert "before step 'charge' was kept" in places
    assert "after step 'charge#2' was kept" in places
    assert any("sleep" in place for place in places)


async def test_s2_46_step_whose_own_function_is_not_idempotent_is_found(app: App, bank: Bank) -> None:
    @app.job()
    async def pay(ctx: Context) -> None:
        await ctx.step("charge", bank.charge, ctx.idempotency_key, 1)

    with pytest.raises(NotIdempotent, match="before step 'charge' was kept"):
        await check_idempotent(app, pay, **world(bank))


async def test_s2_46_plain_function_in_a_thread_is_checked_too(app: App, bank: Bank) -> None:
    @app.job()
    def pay(ctx: Context) -> None:
        if not ctx.saved:
            bank.charge("page", 1)
            ctx.checkpoint(data=True).wait()

    with pytest.raises(NotIdempotent, match="before checkpoint 1"):
        await check_idempotent(app, pay, **world(bank))


async def test_s2_45_errors_on_the_way_are_retried_in_every_life(
    app: App, bank: Bank, clock: ManualClock
) -> None:
    @app.job(retry=Retry(attempts=5, backoff=Backoff.fixed(60)))
    async def pay(ctx: Context) -> None:
        if ctx.saved is None:
            await ctx.checkpoint({"asked": True})
            raise ConnectionError
        bank.charge_once(ctx.idempotency_key, 1)

    places = await check_idempotent(app, pay, **world(bank))

    assert places.count("after its last word") == 2


async def test_job_that_does_not_complete_is_told(app: App, bank: Bank) -> None:
    @app.job()
    async def pay() -> None:
        raise Permanent("no such account")

    with pytest.raises(MisuseError, match=r"pay does not complete: it is failed, .*no such account"):
        await check_idempotent(app, pay, **world(bank))


async def test_job_that_cannot_be_repeated_is_told_with_the_place(app: App, bank: Bank) -> None:
    @app.job()
    async def pay(ctx: Context) -> None:
        if ctx.attempt > 1:
            raise Permanent("never again")
        await ctx.checkpoint(1)

    with pytest.raises(MisuseError, match="does not complete when its worker was lost before checkpoint 1"):
        await check_idempotent(app, pay, **world(bank))


async def test_other_jobs_of_the_app_are_left_alone(app: App, bank: Bank) -> None:
    @app.job()
    async def pay(ctx: Context) -> None:
        bank.charge_once(ctx.idempotency_key, 1)

    @app.job()
    async def other() -> None:
        bank.charge("other", 1)

    waiting = await other.enqueue()
    await check_idempotent(app, pay, **world(bank))

    assert (await waiting.job()).attempts == 0
