"""Tables for the terminal and for RESULTS.md, and lines for the result file."""

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.machine import Machine
from bench.running import Measured, Outcome
from bench.scenario import Goal

Row = tuple[str, ...]


def number(value: float) -> str:
    """A figure with as many digits as mean something."""
    if value >= 1000:
        return f"{round(value, -2 if value >= 10_000 else -1):,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def figures(outcome: Outcome) -> list[Row]:
    """One row per contender: medians with ranges."""
    names = list(dict.fromkeys(name for one in outcome.measured for name in one.names))
    head = ("contender", "side", *names)
    return [head, *(_row(one, names) for one in outcome.measured)]


def goals(outcome: Outcome) -> list[Row]:
    """One row per goal that could be worked out."""
    rows: list[Row] = [("ratio or goal", "measured", "bound", "")]
    for goal in outcome.scenario.goals:
        value = _value(goal, outcome)
        if value is None:
            rows.append((goal.text, "not measured", goal.bound, ""))
        else:
            kept = "" if not goal.bound else "kept" if goal.kept(value) else "MISSED"
            rows.append((goal.text, goal.form.format(value), goal.bound, kept))
    return rows


def measured_only(outcome: Outcome) -> Outcome:
    """The same without the goals that the chosen contenders say nothing about."""
    kept = tuple(goal for goal in outcome.scenario.goals if _value(goal, outcome) is not None)
    return replace(outcome, scenario=replace(outcome.scenario, goals=kept))


def text(rows: Sequence[Row]) -> str:
    """A table for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def markdown(rows: Sequence[Row]) -> str:
    """A table for a page."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def printed(outcome: Outcome) -> str:
    """Everything about one scenario, for a terminal."""
    title = f"\n== {outcome.scenario.name}: {outcome.scenario.question}{_server(outcome)}"
    parts = [title, text(figures(outcome))]
    if outcome.scenario.goals:
        parts.append("\n" + text(goals(outcome)))
    parts.extend(
        f"\n{one.contender.name} broke: {one.broken[-1500:]}" for one in outcome.measured if one.broken
    )
    return "\n".join(parts)


def append_lines(path: Path, outcome: Outcome, machine: Machine, *, quick: bool) -> None:
    """Adds one JSON line per contender and turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for one in outcome.measured:
            for turn, found in enumerate(one.turns):
                told = {
                    "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                    "scenario": outcome.scenario.name,
                    "contender": one.contender.name,
                    "side": one.contender.side.value,
                    "round": turn + 1,
                    "quick": quick,
                    "figures": dict(found),
                    "machine": machine.json(),
                }
                file.write(json.dumps(told) + "\n")


def write_page(page: Path, outcome: Outcome, machine: Machine, *, quick: bool) -> None:
    """Replaces the scenario's part of the page between its two marks, or adds it at the end."""
    name = outcome.scenario.name
    part = f"<!-- {name} -->\n{_section(outcome, machine, quick=quick)}\n<!-- /{name} -->"
    old = page.read_text(encoding="utf-8")
    marks = re.compile(rf"<!-- {re.escape(name)} -->.*?<!-- /{re.escape(name)} -->", re.DOTALL)
    new = marks.sub(lambda _: part, old) if marks.search(old) else f"{old.rstrip()}\n\n{part}\n"
    page.write_text(new, encoding="utf-8")


def _section(outcome: Outcome, machine: Machine, *, quick: bool) -> str:
    scenario = outcome.scenario
    kind = "quick run" if quick else "full run"
    when = time.strftime("%Y-%m-%d", time.gmtime())
    where = machine.line() + _server(outcome)
    parts = [
        f"## {scenario.name}",
        f"**{scenario.question}** {scenario.method}",
        f"{when}, {kind}, {outcome.rounds} rounds, medians (lowest – highest). {where}",
        markdown(figures(outcome)),
    ]
    if scenario.goals:
        parts.append(markdown(goals(outcome)))
    parts.extend(f"`{one.contender.name}` broke and is left out." for one in outcome.measured if one.broken)
    return "\n\n".join(parts)


def _server(outcome: Outcome) -> str:
    return f" {outcome.server}." if outcome.server else ""


def _row(one: Measured, names: Sequence[str]) -> Row:
    return (one.contender.name, one.contender.side.value, *_cells(one, names))


def _cells(one: Measured, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name not in one.names:
            yield "broke" if one.broken and not one.turns else "–"
            continue
        low, high = one.ranges[name]
        spread = "" if len(one.turns) == 1 else f" ({number(low)} – {number(high)})"
        yield number(one.medians[name]) + spread


def _value(goal: Goal, outcome: Outcome) -> float | None:
    try:
        return goal.value(outcome.medians)
    except KeyError:
        return None
