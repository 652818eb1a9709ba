import re

import pytest

from tests.crash import results
from tests.crash.catalogue import EXPERIMENTS
from tests.crash.kit.checker import Violation
from tests.crash.kit.experiment import Size
from tests.crash.kit.run import Report


def a_report(name="E02", store="sqlite", **fields) -> Report:
    given = {
        "title": "claim race",
        "size": Size.FULL,
        "seed": 7,
        "seconds": 12.3,
        "did": {"jobs": 2_400},
        "again": {"after a kill": 3, "never": 0},
        "figures": {"slowest": "4 ms"},
        "violations": (),
        "lost": 0,
        "left_out": (),
    }
    return Report(name=name, store=store, **(given | fields))


@pytest.fixture
def page(tmp_path):
    file = tmp_path / "page.md"
    file.write_text(f"before\n{results.BEGIN}\n{results.END}\nafter\n", encoding="utf-8")
    return file


def test_row_says_what_was_done_lost_broken_and_run_again():
    row = results.row(a_report(violations=(Violation("I1", "x", "gone"),), lost=1, left_out=("no root",)))

    assert row == (
        "| E02 claim race | sqlite | 2,400 jobs | 1 | 1 | 3 after a kill | slowest: 4 ms; left out: no root"
        " | 7, 12 s |"
    )


def test_results_replace_their_own_rows_and_no_others(page):
    results.write([a_report("E03", title="kill -9 storm"), a_report(seed=1)], page)
    results.write([a_report(seed=2), a_report(store="postgres")], page)

    text = page.read_text(encoding="utf-8")
    rows = [[*line.split(" | ")[:2], line.split(" | ")[-1][0]] for line in text.splitlines() if "| E" in line]
    assert rows == [
        ["| E02 claim race", "sqlite", "2"],
        ["| E03 kill -9 storm", "sqlite", "7"],
        ["| E02 claim race", "postgres", "7"],
    ]
    assert text.startswith("before\n")
    assert text.endswith("after\n")


def test_page_without_a_place_for_results_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("words", encoding="utf-8")

    with pytest.raises(ValueError, match="no place"):
        results.write([a_report()], page)
    assert page.read_text(encoding="utf-8") == "words"


def test_report_that_broke_says_how_to_repeat_it():
    report = a_report(violations=(Violation("I1", "x", "gone"),))

    with pytest.raises(AssertionError, match=r"E02 --store sqlite --size full --seed 7") as caught:
        report.demand_nothing_broken()
    assert "I1 x: gone" in str(caught.value)


def test_page_tells_of_every_experiment_and_of_no_other():
    text = results.PAGE.read_text(encoding="utf-8").partition(results.BEGIN)[0]

    assert set(re.findall(r"^\| (E\d\d) ", text, re.MULTILINE)) == set(EXPERIMENTS)
