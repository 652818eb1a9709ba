"""Options of the form NAME=VALUE."""

import math

from headrace.errors import InvalidInput


def split(text: str, option: str) -> tuple[str, str]:
    """The name and the value. Raises InvalidInput."""
    name, equals, value = text.rpartition("=")
    if not equals or not name:
        raise InvalidInput(f"--{option} {text!r} must be NAME=VALUE", field=option)
    return name, value


def number(text: str, option: str) -> float:
    """The number. Raises InvalidInput."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(f"--{option}: {text!r} is not a number", field=option)
    return value


def whole(text: str, option: str) -> int:
    """The whole number. Raises InvalidInput."""
    if not (text.isascii() and text.isdigit()):
        raise InvalidInput(f"--{option}: {text!r} is not a whole number", field=option)
    return int(text)
