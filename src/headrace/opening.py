"""Opens the store of an app, once, from whichever loop or thread asks first."""

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from headrace.clock import Clock, StoreClock
from headrace.engine.listeners import Listeners
from headrace.engine.local import LocalOperations
from headrace.engine.portal import Portal
from headrace.engine.registry import Registry
from headrace.settings import Settings
from headrace.stores.protocol import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedApp:
    """The parts of an app that exist once its store is open."""

    store: Store
    clock: Clock
    operations: LocalOperations


class OpensItsStore:
    """The part of an app that opens its store and closes it."""

    def __init__(self, settings: Settings, registry: Registry, clock: Clock | None) -> None:
        self.settings = settings
        self.registry = registry
        self.portal = Portal()
        self.given_clock = clock
        self.actor = "library"
        self.listeners = Listeners()
        self._lock = threading.Lock()
        self._opened: Future[OpenedApp | None] | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> OpenedApp:
        """Opens the store, once. Raises StoreError, InvalidInput for a URL that cannot be used."""
        while True:
            with self._lock:
                opened = self._opened
                if opened is None:
                    mine = self._opened = Future[OpenedApp | None]()
                    mine.set_running_or_notify_cancel()  # who gives up waiting must not cancel it for all
                    break
            # every enqueue passes here: waiting for what is done would cost a turn of the loop
            found = opened.result() if opened.done() else await asyncio.wrap_future(opened)
            if found is not None:
                return found
        try:
            found = await self._open()
        except BaseException as error:
            with self._lock:
                self._opened = None
            if isinstance(error, Exception):
                mine.set_exception(error)
            else:
                mine.set_result(None)  # only this caller gives up: another one opens
            raise
        mine.set_result(found)
        return found

    async def close(self) -> None:
        """Closes the store. Idempotent; the app can be opened again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None and (found := await asyncio.wrap_future(opened)) is not None:
            await found.operations.batch_engine.checks.drained()
            await self.listeners.drained()
            self.listeners.detach()
            await found.store.close()

    async def _open(self) -> OpenedApp:
        from headrace.stores.open import open_store  # noqa: PLC0415 - a program may never open its store

        store = await open_store(self.settings.url)
        try:
            await store.migrate()
            clock = self.given_clock or StoreClock(await store.now())
        except BaseException:
            await store.close()
            raise
        operations = LocalOperations(store, clock, namespace=self.settings.namespace, registry=self.registry)
        self.listeners.attach(operations.aftermath)
        return OpenedApp(store=store, clock=clock, operations=operations)

    def _opened_sync(self) -> OpenedApp:
        return self._found() or self.portal.call(self.open)

    def _found(self) -> OpenedApp | None:
        """What is open now, without waiting for it."""
        with self._lock:
            opened = self._opened
        return opened.result() if opened is not None and opened.done() else None
