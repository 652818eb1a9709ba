"""Values on the hot path: frozen for the type checker, cheap to make at run time.

A frozen dataclass sets each field through ``object.__setattr__``, which makes building one two to
three times slower, and a worker builds several per job. These values are frozen where it matters:
strict type checking refuses any assignment to their fields.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """A keyword-only dataclass with slots, compared and hashed by its fields."""
    make: Callable[[type[T]], type[T]] = dataclass(slots=True, kw_only=True, unsafe_hash=True)
    return make(cls)
