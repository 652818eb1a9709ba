"""Puts strace on a process: it makes system calls fail, or kills before them."""

from tests.crash.kit.children import Child, Fleet
from tests.crash.kit.clocks import until
from tests.crash.kit.experiment import NotHere


async def traced(fleet: Fleet, child: Child, inject: str) -> Child:
    """Puts strace on a process, with an injection; returns when it is attached."""
    command = [
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "trace=" + inject.partition(":")[0],
        "-e",
        f"inject={inject}",
    ]
    tracer = fleet.start_command([*command, "-p", str(child.pid)], name=f"{child.name}-strace")
    await until("strace is attached", lambda: "attached" in tracer.said() or not tracer.alive)
    if "attached" not in tracer.said():
        raise NotHere(f"strace may not attach to a process here: {tracer.said().strip()[-200:]}")
    return tracer
