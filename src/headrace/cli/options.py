"""The options that many commands share."""

from typing import Annotated

from cyclopts import Parameter

Url = Annotated[
    str | None,
    Parameter(
        name="--url",
        help=(
            "The store: sqlite:///headrace.db, postgresql://user@host/database; "
            "else HEADRACE_URL, else sqlite:///headrace.db."
        ),
    ),
]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.", show_default=False)]
AppPath = Annotated[
    str | None,
    Parameter(
        name="--app",
        help="Where the job types are: module:attribute of an App. Else the built-in types.",
    ),
]
