"""Settings are checked once, when they are made; signals stop a worker in steps."""

import pytest

from headrace.errors import InvalidInput, MisuseError, StoreUnusable
from headrace.signals import Steps
from headrace.worker.child import load_app, registry_of
from headrace.worker.settings import WorkerSettings
from tests.worker.childish import registry
from tests.worker.doubles import Unreliable
from tests.worker.rig import Rig, Watch


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"threads": 0},
        {"lease_ms": 0},
        {"queues": {"default": 0}},
        {"queues": {"no such name!": 1}},
        {"lease_ms": 1_000, "renew_every_ms": 1_000},
        {"lease_ms": 1_000, "renew_every_ms": 500, "margin_ms": 500},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]):
    with pytest.raises(InvalidInput):
        WorkerSettings(**wrong)  # type: ignore[arg-type]


def test_leases_are_renewed_three_times_before_they_end():
    assert WorkerSettings().renew_ms == 10_000
    assert WorkerSettings(lease_ms=3_000).renew_ms == 1_000
    assert WorkerSettings(lease_ms=600_000).renew_ms == 10_000


def test_names_differ():
    assert WorkerSettings().name != WorkerSettings().name


def test_app_is_found_by_its_path():
    assert registry_of(load_app("tests.worker.childish:registry")) is registry


@pytest.mark.parametrize("path", ["tests.worker.childish:nothing", "tests.worker.childish:MIB"])
def test_path_that_leads_to_no_app_is_refused(path: str):
    with pytest.raises(MisuseError):
        registry_of(load_app(path))


class Listener:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def request_stop(self) -> None:
        self.calls.append("stop")

    def interrupt(self) -> None:
        self.calls.append("interrupt")


def test_second_signal_hurries_and_third_ends_the_process(monkeypatch: pytest.MonkeyPatch):
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    listener = Listener()
    steps = Steps(listener.request_stop, listener.interrupt)

    for _ in range(3):
        steps.received()

    assert listener.calls == ["stop", "interrupt"]
    assert codes == [130]


async def test_worker_ends_when_its_store_never_will_work(rig: Rig):
    class Unusable(Unreliable):
        async def claim(self, claim):
            raise StoreUnusable("somebody else has the file open")

    @rig.job(name="any")
    async def any_job() -> None: ...

    await rig.enqueue("any")
    worker = rig.a_worker(Watch(), work=Unusable(rig.work()))

    with pytest.raises(StoreUnusable, match="somebody else"):
        await worker.run()


async def test_types_for_child_processes_are_left_to_workers_that_have_them(rig: Rig):
    for one in registry.all():
        rig.registry.add(one)
    job_id, other = await rig.enqueue("where"), await rig.enqueue("bystander")
    async with rig.worker() as (_, watch):
        await watch.finished(other)
        (hello,) = await rig.operations.workers()

    assert "where" not in hello.types
    assert (await rig.read(job_id)).placement.starts == 0
