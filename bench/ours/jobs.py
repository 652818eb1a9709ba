"""The job types that are measured. The store is the one HEADRACE_URL names."""

from bench import probe
from headrace import App

app = App()


@app.job()
async def noop(n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing, on the event loop."""
    probe.hit()


@app.job()
def noop_thread(n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing, in a thread."""
    probe.hit()


@app.job()
async def stamp(t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)
