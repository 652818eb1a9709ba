"""Calls that a type checker must refuse: each line that says `refused` is checked by a test."""

from dataclasses import dataclass

from headrace import App, Chunk, Context, Debounce, Idle, Work

app = App("sqlite://")


@app.job(queue="email")
async def send_receipt(ctx: Context, order_id: int, to: str) -> dict[str, bool]:
    ctx.log("sent", order_id=order_id)
    return {"sent": bool(to)}


@app.job()
def resize(width: int, height: int = 10) -> int:
    return width * height


async def calls() -> None:
    await send_receipt.enqueue(order_id=42, to="a@example.com")
    await send_receipt.enqueue(order_id="42", to="a@example.com")  # refused
    await send_receipt.enqueue(order_id=42)  # refused
    await send_receipt.enqueue(order_id=42, to="a@example.com", cc="b@example.com")  # refused
    await send_receipt.using(delay=60).enqueue(order=42, to="a@example.com")  # refused
    resize.enqueue_sync(3)
    resize.enqueue_sync("3")  # refused
    handle = await resize.enqueue(3)
    number: int = await handle.result(timeout=1)
    text: str = await handle.result(timeout=1)  # refused
    _ = (number, text)


def book(connection: object) -> int:
    return 1


async def book_later(connection: object) -> int:
    return 1


async def transactions(ctx: Context, connection: object) -> None:
    await send_receipt.using(tx=connection).enqueue(order_id=42, to="a@example.com")
    await send_receipt.using(tx=connection).enqueue(order_id="42", to="a@example.com")  # refused
    resize.using(tx=connection).enqueue_sync("3")  # refused
    await app.enqueue_many([resize.request(3)], tx=connection)
    value: int = await app.transaction(book)
    later: int = await app.transaction(book_later)
    text: str = await app.transaction(book)  # refused
    mine: int = await ctx.transaction(book_later)
    waited: int = ctx.transaction(book).wait()
    other: str = await ctx.transaction(book_later)  # refused
    await app.transaction(3)  # refused
    _ = (value, later, text, mine, waited, other)


async def fetch_numbers(name: str) -> Work[list[int]] | Idle:
    return Work([1]) if name else Idle(timeout=30)


def fetch_one() -> Work[list[int]]:
    return Work([1])


async def process_numbers(batch: list[int]) -> Debounce | None: ...


def process_by_name(ctx: Context, batch: list[int], name: str) -> None: ...


async def process_texts(batch: list[str]) -> None: ...


async def process_wrongly(batch: list[int]) -> float:
    return 3.0


async def loops() -> None:
    events = app.loop("events", fetch=fetch_numbers, process=process_numbers, debounce=0.1)
    app.loop("others", fetch=fetch_one, process=process_by_name)
    app.loop("texts", fetch=fetch_numbers, process=process_texts)  # refused
    app.loop("floats", fetch=fetch_numbers, process=process_wrongly)  # refused
    app.loop("numbers", fetch=process_wrongly, process=process_numbers)  # refused
    app.loop("late", fetch=fetch_one, process=process_numbers, debounce_ms=100)  # refused
    app.loop_family("tenants", fetch=fetch_numbers, process=process_texts)  # refused
    await events.ping()


@app.job()
async def clean_up(ctx: Context, days: int = 7) -> None: ...


def schedules() -> None:
    app.schedule("nightly", cron="0 2 * * *", zone="Europe/Berlin", job=clean_up)
    app.schedule("sizes", every=60, job=resize.request(3))
    app.schedule("wrong", every=60, job=resize)  # refused
    app.schedule("late", cron="@daily", every="5", job=clean_up)  # refused


async def count_later(word: str, *, by: int = 1) -> int:
    return by * len(word)


async def steps(ctx: Context) -> None:
    at_once: int = await ctx.step("count", len, "word")
    later: int = await ctx.step("count", count_later, "word", by=2)
    waited: int = ctx.step("count", len, "word").wait()
    text: str = await ctx.step("count", count_later, "word")  # refused
    await ctx.step("count", count_later, 3)  # refused
    await ctx.step("count", count_later, "word", times=2)  # refused
    await ctx.sleep("an hour")  # refused
    await ctx.wait_for("approved", 3600)  # refused
    await app.signal("id", "approved", {"by": "ann"})
    await app.signal("id", "approved", object())  # refused
    _ = (at_once, later, waited, text)


@dataclass
class Visit:
    page: str


@app.chunk(max_size=10)
async def store_visits(chunk: Chunk[Visit]) -> None:
    for message in chunk:
        page: str = message.payload.page
        number: int = message.payload.page  # refused
        message.ack({"page": page, "number": number})
        message.retry(delay="soon")  # refused
        message.fail(404)  # refused


@app.chunk()  # refused
def count_visits(chunk: Chunk[Visit], more: int) -> None:
    _ = (chunk, more)


async def messages() -> None:
    await store_visits.enqueue(Visit("/"))
    await store_visits.enqueue("/")  # refused
    await store_visits.enqueue(Visit("/"), Visit("/pay"))  # refused
    _ = store_visits.using(delay=60).request(Visit("/"))
