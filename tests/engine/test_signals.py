"""Signals from programs without an event loop."""

from pathlib import Path

import pytest

from headrace import App, Context, IllegalMove


def test_program_without_an_event_loop_sends_a_signal(tmp_path: Path):
    app = App(f"sqlite:///{tmp_path / 'jobs.db'}")

    @app.job()
    def order(ctx: Context) -> None: ...

    handle = order.enqueue_sync()
    app.signal_sync(handle.id, "approved", {"by": "ann"}, key="one")
    app.signal_sync(handle.id, "approved", {"by": "bob"}, key="one")

    async def rest() -> list[str]:
        kept = await (await app.operations()).steps(handle.id)
        await handle.cancel()
        return [signal.payload for signal in kept.signals]

    assert app.portal.call(rest) == ['{"by":"ann"}']
    with pytest.raises(IllegalMove):
        app.signal_sync(handle.id, "approved")
    app.portal.call(app.close)
    app.portal.close()
