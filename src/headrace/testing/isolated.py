"""An app of the program, for the length of a test on a store of its own."""

from dataclasses import replace
from types import TracebackType

from headrace.app import App
from headrace.clock import Clock


class isolated:  # noqa: N801 - used as a word: `async with isolated(app):`
    """Lets an app work on a store in memory, by another clock, for as long as the block lasts.

    For apps that a program makes at import. The app is closed before and after, so that nothing of its own
    store is opened or changed. Use ``async with`` where an event loop runs, else ``with``.
    """

    def __init__(self, app: App, *, clock: Clock | None = None) -> None:
        self._app = app
        self._clock = clock
        self._settings = app.settings
        self._given_clock = app.given_clock

    async def __aenter__(self) -> App:
        await self._app.close()
        self._settings, self._given_clock = self._app.settings, self._app.given_clock
        self._app.settings = replace(self._app.settings, url="sqlite://")
        self._app.given_clock = self._clock
        return self._app

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._app.close()
        self._app.settings, self._app.given_clock = self._settings, self._given_clock

    def __enter__(self) -> App:
        return self._app.portal.call(self.__aenter__)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._app.portal.call(lambda: self.__aexit__(kind, error, trace))
        self._app.portal.close()
