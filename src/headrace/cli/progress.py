"""How far a long command is, on stderr."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from headrace.cli.exits import shown

Tell = Callable[[str, int, int], None]
"""Told what is done, and with how many of how many; 0 of them where that is unknown."""


@contextmanager
def telling() -> Generator[Tell]:
    """Shows what it is told: as a bar on a terminal, else as a line for each step and each tenth of it."""
    if not sys.stderr.isatty():
        yield _Lines().tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=None)

        def tell(text: str, done: int, total: int) -> None:
            progress.tasks[0].total = max(done, total) or None  # `update` cannot take a total away
            progress.update(task, description=shown(text), completed=done)

        yield tell


class _Lines:
    """A line whenever the step is another one, or a tenth of it is done."""

    def __init__(self) -> None:
        self._last: tuple[str, int] | None = None

    def tell(self, text: str, done: int, total: int) -> None:
        of = max(done, total)
        tenth = done * 10 // of if of else 0
        if (text, tenth) == self._last:
            return
        self._last = (text, tenth)
        how_far = f" {done} of {of}" if of else ""
        sys.stderr.write(f"{shown(text)}{how_far}\n")
