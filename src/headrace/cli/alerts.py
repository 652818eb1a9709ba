"""``headrace alerts``."""

from typing import Annotated, Final

from cyclopts import Parameter

from headrace.cli.exits import Exit
from headrace.cli.logs import log_to_stderr
from headrace.cli.opening import app_for, existing, operator, wait_for
from headrace.cli.options import AppPath, AsJson, Url
from headrace.cli.show import print_json, print_line, print_table
from headrace.core.alert_wire import rule_to_json
from headrace.core.alerts import AlertState, To
from headrace.core.policy import HOUR_MS
from headrace.core.wire import Json, to_iso
from headrace.engine.alert_type import rule_of

COLUMNS: Final = ("name", "when", "to", "active", "silencedUntil", "lookedAt", "error")
SPARE: Final = ("lookedAt", "silencedUntil", "to")
ACTIVE: Final = ("rule", "subject", "since", "toldAt", "count", "message")

Name = Annotated[str, Parameter(help="The rule's name, as `headrace alerts list` shows it.")]


def list_alerts(*, url: Url = None, as_json: AsJson = False) -> int:
    """List the alert rules, and what they tell of now."""

    async def run() -> None:
        async with existing(url) as app:
            found = await (await app.operations()).alerts()
        if as_json:
            rules: list[Json] = [rule_to_json(one) for one in found]
            print_json({"count": len(found), "alerts": rules})
            return
        print_table(COLUMNS, [_row(one) for one in found], empty="no alert rules", spare=SPARE)
        active = [
            [state.rule.name, subject, to_iso(one.since), to_iso(one.told_at), one.count, one.message]
            for state in found
            for subject, one in state.active.items()
        ]
        if active:
            print_line("")
            print_table(ACTIVE, active)

    wait_for(run)
    return Exit.DONE


def add(  # noqa: PLR0913 - one parameter per option
    name: Annotated[str, Parameter(help="A name for it; one that is there is changed.")],
    when: Annotated[
        str,
        Parameter(
            help=(
                "What it watches for: dead, permanent or growing (jobs fail for good), waiting (a due job "
                "waits), idle (no claims though jobs are due), missed (schedules), breaker (open)."
            )
        ),
    ],
    /,
    *,
    to: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="log, webhook:URL, mail:ADDRESS, job:TYPE or function. May be repeated."),
    ] = (To.LOG.value,),
    count: Annotated[
        int | None, Parameter(help="With dead, permanent, growing: so many; else 1, and 10 for growing.")
    ] = None,
    within: Annotated[float, Parameter(help="With dead, permanent, growing, missed: in so many seconds.")] = (
        600.0
    ),
    longer_than: Annotated[float, Parameter(help="With waiting, idle, missed: for so many seconds.")] = 300.0,
    type: Annotated[  # noqa: A002 - the word of the glossary
        tuple[str, ...], Parameter(negative="", show_default=False, help="Only this job type.")
    ] = (),
    queue: Annotated[
        tuple[str, ...], Parameter(negative="", show_default=False, help="Only this queue.")
    ] = (),
    schedule: Annotated[
        tuple[str, ...], Parameter(negative="", show_default=False, help="Only this schedule.")
    ] = (),
    again_after: Annotated[
        float, Parameter(help="Tell again of what is still so after so many seconds; 0: only once.")
    ] = HOUR_MS / 1000,
    clear_after: Annotated[
        float, Parameter(help="What has not been so for so many seconds is resolved.")
    ] = 60.0,
    with_payload: Annotated[
        bool, Parameter(negative="", show_default=False, help="Tell the payload of failed jobs as well.")
    ] = False,
    app: AppPath = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Make an alert rule, or change one."""
    rule = rule_of(
        name,
        when,
        to=to,
        count=count,
        within=within,
        longer_than=longer_than,
        types=type,
        queues=queue,
        schedules=schedule,
        again_after=again_after or None,
        clear_after=clear_after,
        with_payload=with_payload,
    )

    async def run() -> None:
        async with app_for(app, url) as opened:
            made = await (await opened.operations(operator())).put_alert(rule)
        _print_one(made, as_json=as_json)

    wait_for(run)
    return Exit.DONE


def remove(name: Name, /, *, url: Url = None) -> int:
    """Remove an alert rule. A program that declares it puts it again at its next start."""

    async def run() -> None:
        async with existing(url) as app:
            await (await app.operations()).remove_alert(name)
        print_line(f"{name}\tremoved")

    wait_for(run)
    return Exit.DONE


def silence(
    name: Name,
    seconds: Annotated[float, Parameter(help="For how long it tells nothing; 0 ends a silence.")],
    /,
    *,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Have a rule tell nothing for a while."""

    async def run() -> None:
        async with existing(url) as app:
            after = await (await app.operations()).silence_alert(name, round(seconds * 1000))
        _print_one(after, as_json=as_json)

    wait_for(run)
    return Exit.DONE


def send_test(name: Name, /, *, url: Url = None, as_json: AsJson = False) -> int:
    """Send a test alert to a rule's targets: to the log of this command, and by jobs to the others."""
    log_to_stderr()

    async def run() -> None:
        async with existing(url) as app:
            told = await (await app.operations()).test_alert(name)
        if as_json:
            print_json({"name": name, "sentTo": list(told)})
            return
        for one in told:
            print_line(one)

    wait_for(run)
    return Exit.DONE


def _print_one(state: AlertState, *, as_json: bool) -> None:
    if as_json:
        print_json(rule_to_json(state))
    else:
        print_table(COLUMNS, [_row(state)], spare=SPARE)


def _row(state: AlertState) -> list[object]:
    return [
        state.rule.name,
        state.rule.condition.when.value,
        ", ".join(one.shown for one in state.rule.to),
        len(state.active),
        to_iso(state.silenced_until),
        to_iso(state.looked_at),
        state.error,
    ]
