"""The drawing of the states is made from the table, and the page shows the drawing."""

import re

from headrace.core import states
from tests.architecture import sources

PAGE = sources.ROOT / "docs" / "states.md"
BLOCK = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_states_page_shows_the_diagram_of_core():
    blocks = [block.strip() for block in BLOCK.findall(sources.text(PAGE))]

    assert states.diagram().strip() in blocks
