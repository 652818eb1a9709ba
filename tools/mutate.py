# ruff: noqa: INP001, T201 - a script that prints
"""Takes the guarantees away, one at a time, and sees which test notices.

    python -m tools.mutate                        all of them
    python -m tools.mutate --only sqlite-fence    one
    python -m tools.mutate --store postgres       those of one store
    python -m tools.mutate --list                 what there is to take away
    python -m tools.mutate --write                and the tables into docs/reliability.md

Works on a copy of the tree in a temporary folder. A mutant is run against the tests that should notice it;
if they all pass, against everything that looks at core, stores, upkeep and worker. Exits with 1 if a
mutant survived, or if it does not even run, which proves nothing; with 2 if the tests fail without any.
"""

import argparse
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.postgres import PostgresServer
from tests.servers.shared import ELSEWHERE
from tests.servers.valkey_binaries import INSTALLED
from tools.mutants import KINDS, Kind, Moved, Mutant, in_table
from tools.mutants_namespaces import NAMESPACES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
HEADING = "## Guarantees taken away"
INTRODUCTION = """`python -m tools.mutate` takes one guarantee at a time out of a copy of the source and runs
the tests. A guarantee whose loss no test notices is only a hope. `--write` makes these tables."""
TITLES: dict[Kind, str] = {
    "core": "On every store",
    "sqlite": "SQLite",
    "postgres": "PostgreSQL",
    "redis": "Redis",
}
MUTANTS = (*(mutant for kind in KINDS for mutant in in_table(kind)), *NAMESPACES)
COPIED = ("src", "tests", "pyproject.toml")
WHOLE = tuple(f"tests/{part}" for part in ("core", "contract", "model", "stores", "upkeep", "worker"))
OTHER_STORES: dict[Kind, Sequence[str]] = {
    "core": ("postgres", "redis", "partitioned"),
    "sqlite": ("postgres", "redis", "partitioned"),
    "postgres": ("sqlite", "redis", "partitioned"),
    "redis": ("sqlite", "postgres", "partitioned"),
}
NAMED_WITHIN, WHOLE_WITHIN = 600, 3_600

# A mutant that the database, Lua or Python cannot even read is missed by every test, and shows nothing.
UNREADABLE = re.compile(
    r"PostgresSyntaxError|UndefinedColumn|UndefinedTable|UndefinedFunction|AmbiguousColumn|IndeterminateDatatype"
    r"|DatatypeMismatch|InvalidColumnReference|GroupingError|apsw\.SQLError|SyntaxError|IndentationError"
    r"|NameError|ImportError|TypeError|Error compiling script|user_script:\d+: attempt to"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a mutant. ``by`` is the test that noticed it, or what is wrong with the mutant."""

    mutant: Mutant
    word: str
    by: str

    @property
    def killed(self) -> bool:
        return self.word == "killed"


class Trouble(Exception):
    """The tests cannot be run, or fail by themselves."""


class Laboratory:
    """A copy of the tree in which mutants are made and tests are run."""

    def __init__(self, folder: Path, postgres: PostgresServer | None) -> None:
        self._root = folder / "tree"
        self._out = folder / "out"
        self._postgres = postgres
        self._instants = itertools.count(1)
        self._root.mkdir()
        for name in COPIED:
            if (ROOT / name).is_dir():
                left_out = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, self._root / name, ignore=left_out)
            else:
                shutil.copy(ROOT / name, self._root / name)

    def check(self, mutants: Sequence[Mutant]) -> None:
        """Raises Trouble unless the tests named pass on the tree as it is, and every mutant fits it."""
        for mutant in mutants:
            with self._made(mutant):
                pass
        for kind in KINDS:
            tests = sorted({test for mutant in mutants if mutant.kind == kind for test in mutant.tests})
            if tests and (missed := self._failing(tests, kind, NAMED_WITHIN)) is not None:
                raise Trouble(f"without any mutant fails {missed}\n{self._said()[-3_000:]}")

    def verdict(self, mutant: Mutant, *, whole: bool) -> Verdict:
        """Makes the mutant, runs the tests, and takes the mutant back."""
        try:
            with self._made(mutant):
                missed = self._failing(mutant.tests, mutant.kind, NAMED_WITHIN)
                if missed is None and whole:
                    missed = self._failing(WHOLE, mutant.kind, WHOLE_WITHIN)
        except Trouble as trouble:
            return Verdict(mutant=mutant, word="BROKEN", by=str(trouble).partition("\n")[0])
        if missed is None:
            return Verdict(mutant=mutant, word="SURVIVED", by="")
        if (unreadable := UNREADABLE.search(self._said())) is not None:
            return Verdict(mutant=mutant, word="BROKEN", by=f"{unreadable[0]} in {missed}")
        return Verdict(mutant=mutant, word="killed", by=missed)

    @contextmanager
    def _made(self, mutant: Mutant) -> Iterator[None]:
        paths = {self._root / "src" / "headrace" / change.file for change in mutant.changes}
        before = {path: path.read_text(encoding="utf-8") for path in paths}
        try:
            for change in mutant.changes:
                change.made_in(self._root)
            self._touch(paths)
            yield
        finally:
            for path, text in before.items():
                path.write_text(text, encoding="utf-8")
            self._touch(paths)

    def _touch(self, paths: set[Path]) -> None:
        # Python takes a compiled module for fresh that has the second and the size of its source.
        for path in paths:
            second = next(self._instants)
            os.utime(path, (second, second))

    def _failing(self, tests: Sequence[str], kind: Kind, within: float) -> str | None:
        """The first test that fails, or None. Output goes to a file: what tests start may outlive them."""
        command = [
            sys.executable, "-m", "pytest", "-n", "0", "-x", "--tb=short", "-rfE", "-p", "no:cacheprovider",
            "-k", " and ".join(f"not {one}" for one in OTHER_STORES[kind]), *tests,
        ]  # fmt: skip
        with self._out.open("w", encoding="utf-8") as out:
            run = subprocess.Popen(  # noqa: S603 - pytest, with names from our own table
                command, cwd=self._root, env=self._environment(), stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                code = run.wait(within)
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
                return f"none: the tests did not end within {within:.0f} s"
        return self._first_failure(code)

    def _first_failure(self, code: int) -> str | None:
        match code:
            case 0:
                return None
            case 1:
                found = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?: - |$)", self._said(), re.MULTILINE)
                return "a test without a name" if found is None else found[1]
            case _:
                raise Trouble(f"pytest ended with {code}:\n{self._said()[-3_000:]}")

    def _said(self) -> str:
        return self._out.read_text(encoding="utf-8", errors="replace")

    def _environment(self) -> dict[str, str]:
        # The copy must stand before the tree that is installed in the environment.
        environment = os.environ | {"PYTHONPATH": str(self._root / "src")}
        environment[INSTALLED] = ""  # no test need run twice
        if self._postgres is not None:
            environment[ELSEWHERE] = self._postgres.databases.admin_url
        return environment


def main() -> int:
    """Runs the command line; the exit code."""
    asked = _arguments()
    chosen = [
        mutant
        for mutant in MUTANTS
        if (asked.only is None or mutant.name in asked.only) and asked.store in {None, mutant.kind}
    ]
    if not chosen or (asked.only is not None and asked.write):
        print("no mutant has this name, or one alone would make no table", file=sys.stderr)
        return 2
    if asked.list:
        for mutant in chosen:
            print(f"{mutant.name:34} {mutant.lost}")
        return 0
    try:
        verdicts = _verdicts(chosen, whole=not asked.quick)
    except (Trouble, Moved) as trouble:
        print(trouble, file=sys.stderr)
        return 2
    print(f"\n{_table(verdicts)}")
    if asked.write:
        _write(verdicts)
    return 0 if all(verdict.killed for verdict in verdicts) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.mutate", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="NAME", action="append", help="this mutant only; may be repeated")
    parser.add_argument("--store", choices=KINDS, help="those of one store, or of core")
    parser.add_argument("--list", action="store_true", help="show what there is to take away")
    parser.add_argument("--quick", action="store_true", help="run only the tests that should notice")
    parser.add_argument("--write", action="store_true", help=f"and write {PAGE.relative_to(ROOT)}")
    return parser.parse_args()


def _verdicts(chosen: Sequence[Mutant], *, whole: bool) -> list[Verdict]:
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="headrace-mutants-")))
        wants_server = any(mutant.kind == "postgres" for mutant in chosen)
        server = ends.enter_context(PostgresServer.start()) if wants_server else None
        laboratory = Laboratory(folder, server)
        laboratory.check(chosen)
        verdicts: list[Verdict] = []
        for mutant in chosen:
            verdict = laboratory.verdict(mutant, whole=whole)
            print(f"{verdict.word:9} {mutant.name:34} {verdict.by}", flush=True)
            verdicts.append(verdict)
    return verdicts


def _table(verdicts: Sequence[Verdict]) -> str:
    lines = ["| Taken away | Noticed by |", "|---|---|"]
    for verdict in verdicts:
        noticed = f"`{verdict.by}`" if verdict.killed else f"**{verdict.word}** {verdict.by}"
        lines.append(f"| {verdict.mutant.lost} | {noticed} |")
    killed = sum(verdict.killed for verdict in verdicts)
    return "\n".join([*lines, "", f"{killed} of {len(verdicts)} were noticed."])


def _write(verdicts: Sequence[Verdict]) -> None:
    """Puts a table for each kind between its marks, or at the end of the page."""
    page = PAGE.read_text(encoding="utf-8")
    if HEADING not in page:
        page = f"{page.rstrip()}\n\n{HEADING}\n\n{INTRODUCTION}\n"
    for kind in KINDS:
        if of_kind := [verdict for verdict in verdicts if verdict.mutant.kind == kind]:
            begin, end = f"<!-- mutants of {kind} -->", f"<!-- end of mutants of {kind} -->"
            section = f"{begin}\n\n### {TITLES[kind]}\n\n{_table(of_kind)}\n\n{end}"
            if begin in page:
                before, _, rest = page.partition(begin)
                page = f"{before}{section}{rest.partition(end)[2]}"
            else:
                page = f"{page.rstrip()}\n\n{section}\n"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
