"""How PostgreSQL would run the store's statements, and what is wrong with that."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from headrace.stores.postgres.statements import PACKAGE, Statements
from headrace.stores.queries import queries

FILES = (
    "batches",
    "chunks",
    "claim",
    "events",
    "flows",
    "gate",
    "jobs",
    "lanes",
    "lines",
    "notes",
    "plumbing",
    "reads",
    "settling",
    "standing",
    "steps",
)
PART = re.compile(r"\{(\w+)\}")
SMALL = {"logged_namespace", "move", "tally", "queue", "worker"}
"""Tables that hold no more rows than there are queues, types, workers or seconds."""
WHOLE_TABLE = re.compile(r"(?:Seq|Bitmap Heap) Scan on (?:headrace\.)?(\w+)")
OTHER_JOIN = re.compile(r"(?:Hash|Merge) (?:\w+ )*Join")
FULL_INDEX = re.compile(r"Index (?:Only )?Scan (?:Backward )?using (\w+) on (\w+)[^\n]*\n(?!\s+Index Cond)")

RUNNING = {"find_running": "live_lease"}
"""Running jobs are few, so all of them are looked at."""


def whole_statements() -> list[str]:
    """The names of all queries but those that only stand in others."""
    texts = [files(PACKAGE).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8") for name in FILES]
    parts = {part for text in texts for part in PART.findall(text)}
    return sorted({name for file in FILES for name in queries(PACKAGE, file)} - parts)


async def plan(connection: Any, name: str) -> str:
    """How a query would be run whatever it is given."""
    text = Statements()[name]
    await connection.execute(f"prepare {name} as {text}")
    counted = "select cardinality(parameter_types) from pg_prepared_statements where name = $1"
    nulls = ", ".join(["null"] * await connection.fetchval(counted, name))
    rows = await connection.fetch(f"explain (costs off) execute {name}{f'({nulls})' if nulls else ''}")
    return "\n".join(row[0] for row in rows)


async def blocks_read(connection: Any, text: str, values: tuple[object, ...]) -> int:
    """How many blocks the scans of a statement read; what it writes is undone."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        explained = f"explain (analyze, buffers, timing off, format json) {text}"
        (((text,),),) = (await connection.fetch(explained, *values),)
    finally:
        await transaction.rollback()
    return sum(
        node["Shared Hit Blocks"] + node["Shared Read Blocks"]
        for node in nodes(json.loads(text)[0]["Plan"])
        if "Plans" not in node
    )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all below it."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def faults(name: str, plan: str) -> list[str]:
    """What a plan of ours must not do."""
    whole = [f"reads all of {table}" for table in WHOLE_TABLE.findall(plan) if table not in SMALL]
    joins = [f"has a {join}" for join in OTHER_JOIN.findall(plan)]
    walks = [
        f"walks over all of {index}"
        for index, table in FULL_INDEX.findall(plan + "\n")
        if table not in SMALL and RUNNING.get(name) != index
    ]
    return [f"{name} {fault}" for fault in (*whole, *joins, *walks)]
