"""An app with a codec and upgrades that child processes of tests import."""

from typing import Any

from headrace import App, Settings
from headrace.encryption import Encrypted

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

app = App("sqlite://", settings=Settings(), codec=Encrypted([KEY], results=("greet",)))


def split(payload: dict[str, Any]) -> dict[str, Any]:
    first, _, last = payload["name"].partition(" ")
    return {"first": first, "last": last}


@app.job(version=2, upgrades={1: split}, runs="process")
def greet(first: str, last: str) -> str:
    return f"hello {last}, {first}"
