"""The lanes of a job about to be inserted: by the rules of its type, with its code and without."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headrace.core.limit_keys import KeyRule, KeyRules, Source, wishes_of
from headrace.core.request import EnqueueRequest
from headrace.core.wishes import OnRetry, Wishes
from headrace.engine.limiting import NOT_LIMITED, Draft, KeyFunction, OrderBy
from headrace.engine.operations import TypeInfo
from headrace.engine.registry import Registered
from headrace.errors import InvalidInput


def lane_of(
    request: EnqueueRequest, info: TypeInfo, payload: str, kind: Registered | None = None
) -> str | None:
    """What is kept in ``Facts.lane``; None for a plain job.

    ``payload`` is the JSON text before any codec, ``kind`` the code of the type, where it is. Raises
    InvalidInput for a key that cannot be one, or that only the code could compute.
    """
    if request.wishes is not None:
        return request.wishes.dumps()
    if info.keys is None:
        return None
    limiting = NOT_LIMITED if kind is None else kind.limiting
    return _wishes(info, info.keys, payload, limiting.functions, kind).dumps()


def lane_if_known(request: EnqueueRequest, info: TypeInfo, payload: str) -> str | None:
    """As ``lane_of`` where the code is not; None for a key that only the code could compute."""
    try:
        return lane_of(request, info, payload)
    except InvalidInput:
        return None


def wishes_in_order(kind: Registered, payload: str, order: OrderBy) -> Wishes:
    """What a job wishes whose order is said for this one call."""
    draft = Draft(kind.info.name, kind.payload.fields)
    rule = draft.order_rule(order)
    rules = replace(kind.info.keys or KeyRules(), order=rule, on_retry=OnRetry(order.on_retry))
    functions = {**kind.limiting.functions, **draft.functions}
    return _wishes(kind.info, rules, payload, functions, kind)


def _wishes(
    info: TypeInfo,
    rules: KeyRules,
    payload: str,
    functions: Mapping[KeyRule, KeyFunction],
    kind: Registered | None,
) -> Wishes:
    computed: dict[KeyRule, object] = {}
    if functions and kind is not None:
        arguments = kind.payload.decode(payload)
        computed = {rule: _computed(info.name, rule, arguments, of) for rule, of in functions.items()}
    properties: Mapping[str, Mapping[str, Any]] = info.schema.get("properties", {})
    source = Source(job_type=info.name, payload=payload, properties=properties, computed=computed)
    return wishes_of(rules, source)


def _computed(job_type: str, rule: KeyRule, arguments: Mapping[str, Any], function: KeyFunction) -> object:
    try:
        return function(arguments)
    except Exception as error:  # boundary: the function is the program's own code
        msg = f"{job_type}: the function for the key of {rule.name!r} raised {type(error).__name__}"
        raise InvalidInput(msg, field="payload") from error
