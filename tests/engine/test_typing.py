import json
import subprocess
import sys
from pathlib import Path

SAMPLE = Path(__file__).parent / "typing_samples" / "wrong_calls.py"


def test_a_type_checker_refuses_exactly_the_wrong_calls() -> None:
    expected = {
        number for number, line in enumerate(SAMPLE.read_text().splitlines()) if line.endswith("# refused")
    }

    answer = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--level", "error", str(SAMPLE)],
        capture_output=True,
        text=True,
        check=False,
    )

    found = json.loads(answer.stdout)["generalDiagnostics"]
    assert {one["range"]["start"]["line"] for one in found} == expected, found
