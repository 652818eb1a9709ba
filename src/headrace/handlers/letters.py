"""The e-mail templates that are shipped, and the data each of them takes.

Data is only ever a value in a template, never part of its source; HTML is escaped, the environment
is sandboxed, and what comes out is bounded.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic.alias_generators import to_camel

from headrace.errors import Permanent

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_PART_CHARS: Final = 256 * 1024
Short = Annotated[str, Field(min_length=1, max_length=200)]
Amount = int | float | Short


class Template(StrEnum):
    """The templates by name."""

    ORDER_CONFIRMATION = "order-confirmation"
    DOWNLOAD_READY = "download-ready"
    CREATOR_PAYOUT = "creator-payout"


class _Data(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="ignore"
    )


class OrderItem(_Data):
    """One line of an order."""

    name: Short
    quantity: int = Field(default=1, ge=1)
    price: Amount | None = None


class OrderConfirmation(_Data):
    """What ``order-confirmation`` tells."""

    order_id: int | Short
    total: Amount
    currency: Short = "USD"
    customer_name: Short | None = None
    items: list[OrderItem] = Field(default_factory=list[OrderItem], max_length=500)


class DownloadReady(_Data):
    """What ``download-ready`` tells."""

    product_name: Short
    download_url: Annotated[str, Field(max_length=2048, pattern=r"^https?://[!-~]+$")]
    customer_name: Short | None = None
    expires_at: Short | None = None


class CreatorPayout(_Data):
    """What ``creator-payout`` tells."""

    creator_name: Short
    amount: Amount
    currency: Short = "USD"
    period: Short | None = None
    payout_id: Short | None = None


DATA: Final[dict[Template, type[_Data]]] = {
    Template.ORDER_CONFIRMATION: OrderConfirmation,
    Template.DOWNLOAD_READY: DownloadReady,
    Template.CREATOR_PAYOUT: CreatorPayout,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is to be said: a subject, a text, and the same as HTML."""

    subject: str
    text: str
    html: str | None = None


def letter(template: Template, data: dict[str, JsonValue]) -> Letter:
    """The template filled in. Raises Permanent for data that does not fit it, or too much of it."""
    try:
        values = DATA[template].model_validate(data)
    except ValidationError as error:
        told = "; ".join(
            f"/data/{'/'.join(map(str, one['loc']))}: {one['msg']}"
            for one in error.errors(include_url=False, include_input=False)
        )
        msg = f"the data does not fit the template {template}: {told}"
        raise Permanent(msg) from error
    named = {name: getattr(values, name) for name in type(values).model_fields}
    subject = " ".join(_rendered(f"{template}.subject", named).split())
    named["subject"] = subject
    return Letter(
        subject=subject,
        text=_rendered(f"{template}.txt", named).strip() + "\n",
        html=_rendered(f"{template}.html", named),
    )


def _rendered(name: str, values: dict[str, Any]) -> str:
    parts: list[str] = []
    room = MAX_PART_CHARS
    for part in _environment().get_template(name).generate(values):
        parts.append(part)
        room -= len(part)
        if room < 0:
            msg = f"{name} comes out longer than {MAX_PART_CHARS} characters"
            raise Permanent(msg)
    return "".join(parts)


@cache
def _environment() -> "ImmutableSandboxedEnvironment":
    from jinja2 import PackageLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        loader=PackageLoader("headrace.handlers"),
        autoescape=_is_html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _is_html(name: str | None) -> bool:
    return name is None or name.endswith(".html")
