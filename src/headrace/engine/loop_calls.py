"""How the functions of a loop are called: async or plain, with the arguments they ask for."""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Final, get_type_hints

from headrace.engine.context import Context
from headrace.errors import MisuseError

Held = Callable[[], Awaitable[bool]]
_LOOK_EVERY: Final = 0.5


class Call:
    """A function of a loop, checked when it is defined.

    It is given as many of ``offered``, in this order, as it has parameters without a default, and the
    ``Context`` where a parameter is annotated so. Plain functions run in a thread.
    """

    def __init__(self, what: str, fn: Callable[..., Any], offered: Sequence[str], *, least: int) -> None:
        self._fn = fn
        self._is_async = inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(
            getattr(fn, "__call__", None)  # noqa: B004 - asks what a call would run
        )
        self._context, self._names = _parameters(what, fn)
        if not least <= len(self._names) <= len(offered):
            msg = f"{what} must take {_spoken(offered, least)}, and a Context if it likes"
            raise MisuseError(msg)

    async def __call__(self, context: object, held: Held, *offered: object) -> Any:  # noqa: ANN401 - its value
        """Calls it. A plain function under way is waited for as long as the job is ``held``."""
        arguments = dict(zip(self._names, offered, strict=False))
        if self._context is not None:
            arguments[self._context] = context
        if self._is_async:
            return await self._fn(**arguments)
        value = await _in_thread(partial(self._fn, **arguments), held)
        return await value if inspect.isawaitable(value) else value


def _parameters(what: str, fn: Callable[..., Any]) -> tuple[str | None, tuple[str, ...]]:
    """The parameter that takes the context, and those that must be given."""
    target = fn if inspect.isroutine(fn) else type(fn).__call__
    try:
        hints = get_type_hints(inspect.unwrap(target))
    except NameError as error:
        msg = f"{what}: an annotation cannot be resolved ({error}); import the type at module level"
        raise MisuseError(msg) from error
    context: str | None = None
    names: list[str] = []
    for parameter in inspect.signature(fn).parameters.values():
        if hints.get(parameter.name) is Context:
            context = parameter.name
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            msg = f"{what}: parameter {parameter.name!r} must be an ordinary named parameter"
            raise MisuseError(msg)
        elif parameter.default is parameter.empty:
            names.append(parameter.name)
    return context, tuple(names)


def _spoken(offered: Sequence[str], least: int) -> str:
    named = [name if place < least else f"perhaps {name}" for place, name in enumerate(offered)]
    return " and ".join(named)


async def _in_thread(fn: Callable[[], Any], held: Held) -> Any:  # noqa: ANN401 - what it returns
    """Runs a plain function in a thread.

    A thread cannot be stopped, and two runs must not go on at once: so a cancellation, however often it
    comes, waits for the function's end, unless the job has gone to somebody else by then.
    """
    running = asyncio.wrap_future(_started(fn))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done() and await _still(held):
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running], timeout=_LOOK_EVERY)
        raise


def _started(fn: Callable[[], Any]) -> "Future[Any]":
    future = Future[Any]()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(fn))
        except BaseException as error:  # boundary: belongs to the run that waits for it
            future.set_exception(error)

    future.set_running_or_notify_cancel()
    threading.Thread(target=run, name="headrace-loop", daemon=True).start()
    return future


async def _still(held: Held) -> bool:
    try:
        return await held()
    except asyncio.CancelledError:
        return True
    except Exception:  # boundary: a store that cannot be asked cannot keep anybody waiting
        return False
