"""The application of the demonstration: each order sends a mail and a webhook and checks a file.

Its workers are started with ``headrace worker --app headrace.demo.jobs:app``.
"""

from typing import Annotated, Final

from pydantic import Field

from headrace.app import App
from headrace.core.backoff import Backoff
from headrace.core.request import EnqueueRequest
from headrace.engine.context import Context
from headrace.engine.registry import Retry
from headrace.handlers import job_types

app = App()
app.include(job_types(app.settings))

ATTEMPTS: Final = 10
# Shorter than the presets of the types, so that a demonstration ends while somebody watches.
SOON: Final = Backoff.exponential(0.2, cap=2)

Email = Annotated[str, Field(pattern=r"^[a-z0-9.]+@[a-z0-9.]+$")]


@app.job(name="order", queue="orders", retry=Retry(attempts=ATTEMPTS, backoff=SOON))
async def order(  # noqa: PLR0913 - one parameter per column
    ctx: Context,
    *,
    order_id: int,
    customer: str,
    email: Email,
    item: str,
    total: str,
    file_id: str,
    sha256: str,
    hook: str,
) -> list[str]:
    """Takes an order: what follows from it becomes jobs of its own, all three or none.

    If this attempt is lost and repeated, the idempotency keys keep the second one from doubling them.
    """
    paid = {"type": "order.paid", "data": {"orderId": order_id, "total": total}}
    confirmation = {
        "orderId": order_id,
        "customerName": customer,
        "total": total,
        "items": [{"name": item.replace("\n", " "), "price": total}],
    }
    return list(
        await ctx.enqueue(
            _child(ctx, "send-email", {"to": email, "template": "order-confirmation", "data": confirmation}),
            _child(ctx, "webhook-delivery", {"url": hook, "body": paid, "eventType": "order.paid"}),
            _child(
                ctx,
                "process-file",
                {"fileId": file_id, "tasks": ["checksum"], "expected": {"sha256": sha256}},
            ),
        )
    )


def _child(ctx: Context, job_type: str, payload: dict[str, object]) -> EnqueueRequest:
    return EnqueueRequest(
        type=job_type,
        payload=payload,  # pyright: ignore[reportArgumentType] - plain JSON
        idempotency_key=f"{ctx.idempotency_key}:{job_type}",
        batch_id=ctx.job.batch_id,
        max_attempts=ATTEMPTS,
        backoff=SOON,
    )
