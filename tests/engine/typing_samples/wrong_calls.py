"""Calls that a type checker must refuse: each line that says `refused` is checked by a test."""

from headrace import App, Context

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
