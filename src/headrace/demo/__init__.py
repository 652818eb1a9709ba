"""A demonstration that runs jobs through every part of the system, kills a worker, and adds up.

``python -m headrace.demo`` or ``headrace demo``.
"""

from importlib.util import find_spec
from typing import Final

from headrace.errors import MisuseError

NEEDED: Final = ("aiosmtplib", "fastapi", "httpx2", "jinja2", "standardwebhooks", "uvicorn")


async def run(*, serve: bool) -> int:
    """Runs the demonstration; 0 if everything adds up. ``serve`` leaves the service up until Ctrl-C."""
    if missing := [package for package in NEEDED if find_spec(package) is None]:
        msg = f"the demonstration also needs {', '.join(missing)}: install headrace[all]"
        raise MisuseError(msg)
    # Workers import this package to reach ``headrace.demo.jobs``; they need none of the rest.
    from headrace.demo.story import Plan, play  # noqa: PLC0415

    return await play(Plan(serve=serve))
