"""What a caller asks for when making a batch."""

from dataclasses import dataclass

from headrace.core.batch import On
from headrace.core.request import MAX_TAGS, EnqueueRequest
from headrace.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """A batch to make: what is enqueued when all its members have ended.

    ``on_complete`` in any case, ``on_success`` if all completed, ``on_failure`` if any did not. In a
    ``sequential`` batch members run one after the other, in the order in which they were added. Raises
    InvalidInput for a callback that could not be inserted exactly once per generation.
    """

    on_complete: EnqueueRequest | None = None
    on_success: EnqueueRequest | None = None
    on_failure: EnqueueRequest | None = None
    sequential: bool = False

    def __post_init__(self) -> None:
        for on, request in self.callbacks.items():
            _check(on, request)

    @property
    def callbacks(self) -> dict[On, EnqueueRequest]:
        """The callbacks that are asked for."""
        asked = {On.COMPLETE: self.on_complete, On.SUCCESS: self.on_success, On.FAILURE: self.on_failure}
        return {on: request for on, request in asked.items() if request is not None}


def _check(on: On, request: EnqueueRequest) -> None:
    if request.unique is not None or request.idempotency_key is not None:
        msg = f"{on} comes once per generation by itself: give it no unique key and no idempotency key"
        raise InvalidInput(msg, field=on)
    if request.after or request.on_parent_failure is not None:
        raise InvalidInput(f"{on} comes when all members have ended: leave after away", field=on)
    if request.batch_id is not None:
        raise InvalidInput(f"{on} is no member of a batch: leave its batch id away", field=on)
    if len(request.tags) >= MAX_TAGS:
        msg = f"{on} carries a tag that names its batch, so it has room for {MAX_TAGS - 1} others"
        raise InvalidInput(msg, field=on)
