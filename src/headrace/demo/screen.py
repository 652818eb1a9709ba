"""What the demonstration shows: live bars on a terminal, plain lines in a pipe."""

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from headrace.demo.account import Account

LINE_SECONDS: Final = 3.0
SHOWN_REPEATS: Final = 3


class Meter(Protocol):
    """Shows how far things are."""

    def show(self, numbers: Mapping[str, int]) -> None:
        """Takes the newest numbers, by name."""
        ...


class Screen:
    """Writes to a terminal or a pipe."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(escape(text))

    @contextmanager
    def meter(self, totals: Mapping[str, int]) -> Generator[Meter]:
        """A live view of numbers that grow to their totals."""
        if not self._console.is_terminal:
            yield _Lines(self, totals)
            return
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as progress:
            yield _Bars(progress, totals)

    def account(self, account: Account) -> None:
        """The table at the end."""
        table = Table("", "acknowledged", "arrived", "deliveries", "repeats", "", title="Does it add up?")
        for line in account.lines:
            table.add_row(
                line.what,
                *(str(number) for number in (line.acknowledged, line.arrived, line.deliveries, line.repeats)),
                "yes" if line.adds_up else "NO",
            )
        self._console.print(table)
        for why, jobs in account.reasons().items():
            self.say(f"{jobs} jobs came more than once: {why}. For example:")
            for repeat in [repeat for repeat in account.repeats if repeat.why == why][:SHOWN_REPEATS]:
                self.say(
                    f"  {repeat.what} of job {repeat.job_id}: {repeat.times} times in {repeat.starts} starts"
                )
        for wrong in account.wrong:
            self.say(f"WRONG: {wrong}")


class _Bars:
    def __init__(self, progress: Progress, totals: Mapping[str, int]) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {
            name: progress.add_task(name, total=total) for name, total in totals.items()
        }

    def show(self, numbers: Mapping[str, int]) -> None:
        for name, number in numbers.items():
            self._progress.update(self._tasks[name], completed=number)


class _Lines:
    def __init__(self, screen: Screen, totals: Mapping[str, int]) -> None:
        self._screen = screen
        self._totals = totals
        self._said_at = 0.0

    def show(self, numbers: Mapping[str, int]) -> None:
        if time.monotonic() - self._said_at >= LINE_SECONDS:
            self._said_at = time.monotonic()
            self._screen.say(
                "  " + ", ".join(f"{name} {number}/{self._totals[name]}" for name, number in numbers.items())
            )
