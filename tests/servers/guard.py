"""Runs a server as another user, for as long as the process that asked for it lives.

``python guard.py UID GID LOG DOOMED COMMAND …`` prints the server's process id and ends with the server. When
its input closes, because the asking process let go or was killed, it ends the server at once and removes
the folder DOOMED (unless that is empty). It watches a pipe, and not its parent, because Linux calls a process
an orphan as soon as the *thread* that started it has ended.

It must start fast and may not import the project.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import Any


def run(uid: int, gid: int, log: str, doomed: str, command: list[str]) -> None:
    server = start(uid, gid, log, command)
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.flush()
    let_go = threading.Event()
    threading.Thread(target=end_with, args=(server, let_go), daemon=True).start()
    sys.stdin.buffer.read()
    let_go.set()
    server.send_signal(signal.SIGQUIT)
    server.send_signal(signal.SIGCONT)  # a test may have stopped it
    server.wait()
    if doomed:
        shutil.rmtree(doomed, ignore_errors=True)


def start(uid: int, gid: int, log: str, command: list[str]) -> subprocess.Popen[bytes]:
    """The server, whose output goes to its log."""
    # a shell that runs tests in the background has it ignored, and so would the server
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    other: dict[str, Any] = {"user": uid, "group": gid, "extra_groups": []} if os.geteuid() == 0 else {}
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        return subprocess.Popen(command, cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=out, **other)
    finally:
        os.close(out)


def end_with(server: subprocess.Popen[bytes], let_go: threading.Event) -> None:
    """Ends this process with the server, unless there is a folder to remove first."""
    code = server.wait()
    if not let_go.is_set():
        os._exit(code & 0xFF)


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
