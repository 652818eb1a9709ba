"""From a command's options to an opened App."""

import asyncio
import importlib
import os
import pwd
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from headrace.app import App
from headrace.cli.exits import one_line
from headrace.errors import InvalidInput, NotFound, StoreUnusable
from headrace.settings import Settings
from headrace.stores.open import open_store
from headrace.stores.protocol import Health, Store

T = TypeVar("T")

_SQLITE = "sqlite:///"
_MAKERS = "`headrace serve`, `worker` and `enqueue` make it"


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a store cannot be looked at, and what helps. ``health``: of a server that needs nothing before."""

    why: str
    health: Health | None = None


def wait_for(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a command's coroutine to its end."""
    return asyncio.run(make())


def run_long(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a long-running command's coroutine, on uvloop where it is installed."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.run(make())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(make())


def settings_for(url: str | None) -> Settings:
    """The environment's settings, with the URL of the command line."""
    settings = Settings.from_environment()
    return settings if url is None else replace(settings, url=url)


def app_for(path: str | None, url: str | None) -> App:
    """The App that ``--app`` names, else one with the built-in job types. ``url`` wins over its own."""
    if path is None:
        return builtin_app(settings_for(url))
    app = load_app(path)
    if url is not None:
        app.settings = replace(app.settings, url=url)
    return app


def builtin_app(settings: Settings) -> App:
    """An App with the built-in job types."""
    from headrace.handlers import job_types

    app = App(settings=settings)
    app.include(job_types(settings))
    return app


def load_app(path: str) -> App:
    """The App at ``module:attribute``, found as Python finds modules in the working directory."""
    name, colon, attribute = path.partition(":")
    if not colon or not name or not attribute:
        raise InvalidInput(f"--app {path!r} must be module:attribute, such as myproject.jobs:app")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = importlib.import_module(name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise InvalidInput(f"--app {path!r}: there is no module {error.name!r} here") from error
    except AttributeError as error:
        raise InvalidInput(f"--app {path!r}: {error}") from error
    if not isinstance(found, App):
        raise InvalidInput(f"--app {path!r} is a {type(found).__name__}, not an App")
    return found


@asynccontextmanager
async def existing(url: str | None) -> AsyncGenerator[App]:
    """An App over a store that is there. Raises NotFound instead of making or changing one."""
    settings = settings_for(url)
    missing = await what_is_missing(settings.url)
    if missing is not None:
        raise NotFound(f"{missing.why}, or name another with --url")
    async with App(settings=settings) as app:
        app.actor = operator()
        yield app


def operator() -> str:
    """Who runs this command, for the record: the user of this process, whatever the environment says."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"cli:{name}"


async def what_is_missing(url: str) -> Missing | None:
    """What a store lacks to be looked at as it is; None if nothing. Makes and changes none."""
    file = sqlite_file(url)
    if file is not None:
        return None if file.is_file() else Missing(f"there is no store at {url} yet: {_MAKERS}")
    store = await open_store(url)
    try:
        return await _lacked(store) if await store.migration_plan() else None
    finally:
        await store.close()


async def _lacked(store: Store) -> Missing:
    """What one lacks that ``migrate`` would change: to some it is enough that a program begins."""
    try:
        health = await store.check()
    except StoreUnusable as error:
        return Missing(one_line(error))
    return Missing(f"nothing of Headrace is in the store yet: {_MAKERS}", health)


def sqlite_file(url: str) -> Path | None:
    """The file that an SQLite URL names; None for other stores and for memory."""
    path = url.removeprefix(_SQLITE).partition("?")[0]
    return Path(path) if url.startswith(_SQLITE) and path else None
