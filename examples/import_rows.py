"""Rows of a CSV file become jobs, and the rows that do not fit are told.

Run it: python examples/import_rows.py
"""

import asyncio
from collections.abc import AsyncGenerator

from headrace import App, EnqueueRequest
from headrace.core.filters import JobFilter, Page
from headrace.files.open import opened_files
from headrace.handlers import job_types
from headrace.worker.settings import WorkerSettings
from headrace.worker.worker import Worker

PRODUCTS = b"""\
Name,Price
Lamp,12.50
Chair,not for sale
"Table, round",99
"""

app = App("sqlite://")
app.include(job_types(app.settings))
shelf: dict[str, float] = {}


@app.job()
async def product(name: str, price: float) -> None:
    """Puts a product on the shelf."""
    shelf[name] = price


async def content() -> AsyncGenerator[bytes]:
    yield PRODUCTS


async def main() -> None:
    async with app:
        opened = await app.open()
        async with opened_files(app.settings, opened.store, opened.clock) as files:
            stored = await files.put(content(), name="products.csv", content_type="text/csv")
            settings = WorkerSettings(files=files, poll_ms=50)
            async with Worker(await app.work(), app.registry, settings):
                payload = {
                    "fileId": stored.id,
                    "format": "csv",
                    "rowType": "product",
                    "mapping": {"name": "Name", "price": "Price"},
                }
                (handle,) = await app.enqueue_many([EnqueueRequest(type="batch-import", payload=payload)])
                result = await handle.result(timeout=30)
                print(f"{result.enqueued} rows imported, {result.errors} refused: {result.error_sample}")
                for job in (
                    await opened.operations.jobs(JobFilter(types=frozenset({"product"})), Page())
                ).jobs:
                    await opened.operations.wait(job.id, timeout_ms=30_000)
        print(shelf)
        assert shelf == {"Lamp": 12.5, "Table, round": 99.0}


if __name__ == "__main__":
    asyncio.run(main())
