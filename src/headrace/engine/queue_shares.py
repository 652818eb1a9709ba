"""The share of a job in a queue that is fair by itself, whatever its job type says."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from headrace.core.limit_keys import KeyRule, KeyRules, Source, wishes_of
from headrace.core.request import DEFAULT_QUEUE, EnqueueRequest
from headrace.core.wishes import Wishes
from headrace.engine.operations import TypeInfo


def shared_out(
    lane: str | None,
    request: EnqueueRequest,
    info: TypeInfo,
    payload: str,
    fair_by: Callable[[str], KeyRule | None],
) -> str | None:
    """What is kept in ``Facts.lane``, with the tenant by which the job's queue is shared out.

    What the job type says comes first. Raises InvalidInput for a key that cannot be one.
    """
    rule = fair_by(request.queue or info.queue or DEFAULT_QUEUE)
    if rule is None:
        return lane
    wishes = Wishes.loads(lane)
    if wishes.fair is not None:
        return lane
    properties: Mapping[str, Mapping[str, Any]] = info.schema.get("properties", {})
    source = Source(job_type=info.name, payload=payload, properties=properties, computed={})
    return replace(wishes, fair=wishes_of(KeyRules(fair=rule), source).fair).dumps()
