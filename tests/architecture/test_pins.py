"""constraints.txt pins every package exactly, by name and version alone."""

import re
import tomllib

from tests.architecture import sources

PIN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][A-Za-z0-9.+!]*")
PROJECT = tomllib.loads(sources.text(sources.ROOT / "pyproject.toml"))["project"]


def pins() -> list[str]:
    lines = sources.text(sources.ROOT / "constraints.txt").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def direct_dependencies() -> set[str]:
    extras = PROJECT["optional-dependencies"].values()
    requirements = PROJECT["dependencies"] + [requirement for extra in extras for requirement in extra]
    names = {re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower() for requirement in requirements}
    return names - {PROJECT["name"]}


def test_pins_are_exact():
    assert [line for line in pins() if not PIN.fullmatch(line)] == []


def test_pins_name_no_address():
    assert "://" not in sources.text(sources.ROOT / "constraints.txt")


def test_pins_are_sorted_and_unique():
    names = [line.partition("==")[0] for line in pins()]

    assert names == sorted(set(names))


def test_pins_cover_every_direct_dependency():
    assert direct_dependencies() - {line.partition("==")[0] for line in pins()} == set()
