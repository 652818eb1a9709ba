"""The orders of the demonstration, the same at every run."""

import csv
import hashlib
import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

ARTWORKS: Final = 12
ARTWORK_BYTES: Final = 40_000
COLUMNS: Final = ("Order", "Customer", "E-Mail", "Item", "Total", "Artwork", "SHA-256")
MAPPING: Final = {
    "orderId": "Order",
    "customer": "Customer",
    "email": "E-Mail",
    "item": "Item",
    "total": "Total",
    "fileId": "Artwork",
    "sha256": "SHA-256",
}
WRONG_EVERY: Final = 500
FIRST_WRONG: Final = 100
_NAMES: Final = ("Ada", "Björn", "Chloé", "Dmitri", "Eşref", "Fatima", "Grace", "Hélène", "Ivan", "Jun")
_ITEMS: Final = ("Snowfall", "Carousel, slow", 'Star "Vega"', "River\nof light", "Fireflies")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artwork:
    """A stored file that orders are for."""

    file_id: str
    sha256: str


def artwork(number: int) -> bytes:
    """The content of an artwork."""
    return random.Random(number).randbytes(ARTWORK_BYTES)


def sha256_of(content: bytes) -> str:
    """The hash that an order says its artwork has."""
    return hashlib.sha256(content).hexdigest()


def is_wrong(number: int) -> bool:
    """Whether the order's row is spoiled, so that the import must refuse it."""
    return number % WRONG_EVERY == FIRST_WRONG


def good_orders(numbers: range) -> Iterator[int]:
    """The orders whose rows are fine."""
    return (number for number in numbers if not is_wrong(number))


def orders_csv(numbers: range, artworks: Sequence[Artwork]) -> bytes:
    """One row per order."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for number in numbers:
        chosen = artworks[number % len(artworks)]
        price = random.Random(number).randint(300, 9_900)
        rows.writerow(
            (
                number,
                _NAMES[number % len(_NAMES)],
                "nobody" if is_wrong(number) else address_of(number),
                _ITEMS[number % len(_ITEMS)],
                f"{price / 100:.2f}",
                chosen.file_id,
                chosen.sha256,
            )
        )
    return text.getvalue().encode()


def address_of(number: int) -> str:
    """Where the mail about an order goes."""
    return f"buyer{number}@example.com"


def order_of(address: str) -> int:
    """The order that a mail to this address is about."""
    return int(address.removeprefix("buyer").partition("@")[0])
