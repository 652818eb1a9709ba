"""Refuses network file systems: their locks do not hold, and a WAL needs memory shared by all users."""

from pathlib import Path
from typing import Final

from headrace.errors import NetworkFilesystem

_MOUNTS: Final = Path("/proc/mounts")
_REMOTE: Final = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
        "ocfs2", "orangefs", "smb2", "smb3", "smbfs",
    }
)  # fmt: skip
_LOCAL_FUSE: Final = frozenset({"fuse.fuse-overlayfs"})


def refuse_network(path: Path, mounts: str | None = None) -> None:
    """Raises NetworkFilesystem if the path lies on one. ``mounts`` is the text of /proc/mounts."""
    text = _read_mounts() if mounts is None else mounts
    kind = _kind_of(path.resolve(), text)
    if kind in _REMOTE or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE):
        msg = (
            f"{path} lies on a network file system ({kind}), where SQLite's locks do not hold; "
            "use a local disk, or add ?force=1 if you know that only one host opens it"
        )
        raise NetworkFilesystem(msg)


def _read_mounts() -> str:
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _kind_of(path: Path, mounts: str) -> str:
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:  # noqa: PLR2004 - device, folder, kind
            continue
        folder = Path(_unescaped(fields[1]))
        # A later mount on the same folder hides the earlier one.
        if path.is_relative_to(folder) and len(folder.parts) >= best:
            best, kind = len(folder.parts), fields[2]
    return kind


def _unescaped(text: str) -> str:
    for code in ("040", "011", "012", "134"):
        text = text.replace(f"\\{code}", chr(int(code, 8)))
    return text
