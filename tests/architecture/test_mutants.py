"""The tables of guarantees to take away follow the code: each mutant still fits it, and names real tests."""

from pathlib import Path

import pytest

from tools.mutants import Mutant
from tools.mutate import MUTANTS

ROOT = Path(__file__).resolve().parents[2]


def _name(mutant: Mutant) -> str:
    return mutant.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=_name)
def test_mutant_fits_the_code(mutant):
    texts: dict[str, str] = {}
    for change in mutant.changes:
        path = ROOT / "src" / "headrace" / change.file
        before = texts.get(change.file) or path.read_text(encoding="utf-8")
        texts[change.file] = change.made_of(before)

        assert texts[change.file] != before


@pytest.mark.parametrize("mutant", MUTANTS, ids=_name)
def test_mutant_names_tests_that_exist(mutant):
    for named in mutant.tests:
        file, _, test = named.partition("::")
        path = ROOT / file

        assert path.exists(), named
        if test:
            assert f"def {test.partition('[')[0].rpartition('::')[2]}(" in path.read_text(encoding="utf-8")
