"""A file holds one idea, and one idea fits in 400 lines."""

import pytest

from tests.architecture import sources

LIMIT = 400
FOLDERS = [folder for name in ("src", "tests", "bench") if (folder := sources.ROOT / name).is_dir()]


@pytest.mark.parametrize("path", sources.files(*FOLDERS, suffixes=(".py", ".sql", ".lua")), ids=sources.name)
def test_file_is_not_too_long(path):
    lines = len(sources.text(path).splitlines())

    assert lines <= LIMIT, f"{sources.name(path)} has {lines} lines: split it by idea, not by length"
