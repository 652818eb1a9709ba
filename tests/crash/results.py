"""Puts results into the table of docs/reliability.md; rows of runs that were not made stay."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.crash.kit.run import Report, counted

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN: Final = "<!-- results: python -m tests.crash.full --write -->"
END: Final = "<!-- end of results -->"
HEAD: Final = (
    "| experiment | store | done | lost | broken | run again | figures | seed, time |",
    "|---|---|---|---|---|---|---|---|",
)


def write(reports: Sequence[Report], page: Path = PAGE) -> None:
    """Replaces or adds one row for each report."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    table, end, after = rest.partition(END)
    if not (begin and end):
        msg = f"{page} has no place for results: {BEGIN} … {END}"
        raise ValueError(msg)
    rows = {_key(line): line for line in table.splitlines() if line.startswith("| E")}
    rows |= {(report.name, report.store): row(report) for report in reports}
    lines = [*HEAD, *(rows[key] for key in sorted(rows, key=lambda key: (key[1] != "sqlite", key)))]
    page.write_text(before + begin + "\n\n" + "\n".join(lines) + "\n\n" + end + after, encoding="utf-8")


def row(report: Report) -> str:
    """One line of the table."""
    left_out = [f"left out: {why}" for why in report.left_out]
    cells = (
        f"{report.name} {report.title}",
        report.store,
        counted(report.did),
        str(report.lost),
        str(len(report.violations)),
        counted({why: count for why, count in report.again.items() if count}) or "0",
        "; ".join([*(f"{name}: {value}" for name, value in report.figures.items()), *left_out]) or "–",
        f"{report.seed}, {report.seconds:.0f} s",
    )
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _key(line: str) -> tuple[str, str]:
    cells = [cell.strip() for cell in line.split("|")]
    return cells[1].partition(" ")[0], cells[2]
