"""``headrace audit``."""

from typing import Annotated, Final

from cyclopts import Parameter

from headrace.cli.exits import Exit
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import on_terminal, print_json, print_line, print_table
from headrace.core.audit import AuditFilter, audit_to_json
from headrace.core.filters import DEFAULT_LIMIT, Page
from headrace.core.wire import Json, from_iso
from headrace.errors import InvalidInput

COLUMNS: Final = ("at", "actor", "action", "entityType", "entityId", "metadata", "error")
SPARE: Final = ("entityType", "metadata")


def audit(  # noqa: PLR0913 - one parameter per option
    *,
    of: Annotated[
        str | None,
        Parameter(
            name="--of", help="Only what was done to this: job:ID, queue:NAME, schedule:NAME and so on."
        ),
    ] = None,
    actor: Annotated[str | None, Parameter(help="Only what this one did, such as cli:alice.")] = None,
    action: Annotated[str | None, Parameter(help="Only this action, such as job.cancel.")] = None,
    since: Annotated[
        str | None, Parameter(help="Not before this instant, such as 2026-01-31T09:30:00Z.")
    ] = None,
    limit: Annotated[int, Parameter(help="How many, 1 to 1,000.")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Parameter(help="nextCursor of the page before, from --json.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """List who did what, newest first."""
    entity, entity_id = _object(of)
    wanted = AuditFilter(
        actor=actor,
        action=action,
        entity_type=entity,
        entity_id=entity_id,
        since=None if since is None else from_iso(since, what="since"),
    )
    page = Page(limit=limit, before=cursor)

    async def run() -> None:
        async with existing(url) as app:
            found = await (await app.operations()).audit(wanted, page)
        shown = [audit_to_json(entry) for entry in found.entries]
        if as_json:
            entries: list[Json] = [*shown]
            print_json({"count": len(shown), "entries": entries, "nextCursor": found.cursor})
            return
        rows = [[entry[column] or None for column in COLUMNS] for entry in shown]
        print_table(COLUMNS, rows, empty="nothing on record", spare=SPARE)
        if found.cursor is not None and on_terminal():
            print_line(f"more: --cursor {found.cursor}")

    wait_for(run)
    return Exit.DONE


def _object(text: str | None) -> tuple[str | None, str | None]:
    """``job:ID`` taken apart; ``job`` alone means all jobs."""
    if text is None:
        return None, None
    entity, colon, entity_id = text.partition(":")
    if not entity or (colon and not entity_id):
        raise InvalidInput(f"--of {text!r} must be a kind of thing, or one with its id, such as queue:email")
    return entity, entity_id or None
