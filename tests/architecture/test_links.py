"""Links between the project's own pages lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.architecture import sources

FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]*\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
PAGES = [*sorted(sources.ROOT.glob("*.md")), *sorted((sources.ROOT / "docs").rglob("*.md"))]


def links(page: Path) -> list[str]:
    prose = CODE.sub("", FENCED.sub("", sources.text(page)))
    targets = [match[1] or match[2] for match in LINK.finditer(prose)]
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    headings = HEADING.findall(FENCED.sub("", sources.text(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_nowhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    goal = (page.parent / path).resolve() if path else page
    if not goal.exists():
        return True
    return bool(anchor) and goal.suffix == ".md" and anchor not in anchors(goal)


@pytest.mark.parametrize("page", PAGES, ids=sources.name)
def test_links_of_page_resolve(page):
    assert [target for target in links(page) if leads_nowhere(page, target)] == []
