"""Environments for peers: one each, from exact versions in ``bench/peers``, made at the first use."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.places import ROOT, home

PEERS = ROOT / "bench" / "peers"
NODE = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePeer:
    """How a peer written for Node is run: the interpreter and the folder with its packages."""

    program: Path
    modules: Path


def peer_python(peer: str) -> Path:
    """The interpreter of the peer's environment, made with venv and pip at the first use."""
    pins = _pins(peer)
    folder = _folder(peer, pins.read_bytes() + sys.version.encode())
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        _announce(peer, folder)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "-r", pins], check=True)
        (folder / "ready").touch()
    return python


def peer_node(peer: str) -> NodePeer:
    """Node from its own environment (``requirements-node.txt``), and the peer's packages."""
    program = peer_python(NODE).with_name("node")
    source = PEERS / "node" / peer
    folder = _folder(peer, b"".join(path.read_bytes() for path in sorted(source.glob("*.json"))))
    if not (folder / "ready").exists():
        _announce(peer, folder)
        shutil.copytree(source, folder)
        path = os.pathsep.join([str(program.parent), os.environ.get("PATH", "")])
        command = [program.with_name("npm"), "ci", "--ignore-scripts", "--no-fund", "--no-audit", "--silent"]
        subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, check=True)
        (folder / "ready").touch()
    return NodePeer(program=program, modules=folder / "node_modules")


def pinned() -> str:
    """The peers with their versions, in one line: of each file the first pin, which is the peer itself."""
    found = [_first_pin(path).replace("==", " ") for path in sorted(PEERS.glob("requirements-*.txt"))]
    for path in sorted(PEERS.glob("node/*/package.json")):
        needs: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["dependencies"]
        found.extend(f"{name} {version}" for name, version in needs.items())
    return ", ".join(dict.fromkeys(found))


def _first_pin(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(line.strip() for line in lines if "==" in line)


def _pins(peer: str) -> Path:
    return PEERS / f"requirements-{peer}.txt"


def _folder(peer: str, made_from: bytes) -> Path:
    return home() / f"{peer}-{hashlib.sha256(made_from).hexdigest()[:12]}"


def _announce(peer: str, folder: Path) -> None:
    print(f"making an environment for {peer} …", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
