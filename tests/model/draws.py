"""What the machine draws: jobs to enqueue, and how attempts end."""

from hypothesis import strategies as st

from headrace.core.outcomes import Crashed, Released, Snoozed, Stopped, Succeeded, Suspended
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique, Until
from tests.builders import NOW, SECOND, a_failure, an_error

QUEUES = ("a", "b")
TYPES = ("mail", "image")

outcomes = st.sampled_from(
    [
        Succeeded(result="1"),
        a_failure(),
        a_failure(retry_after_ms=0),
        a_failure(error_class=ErrorClass.PERMANENT),
        a_failure(error_class=ErrorClass.TIMEOUT),
        Snoozed(delay_ms=0),
        Snoozed(delay_ms=45_000),
        Suspended(until=NOW + 45_000, signal="approved"),
        Released(reason="shutdown"),
        Crashed(error=an_error()),
        Stopped(),
    ]
)
uniques = st.builds(
    Unique, key=st.sampled_from("xy"), until=st.sampled_from(Until), on_conflict=st.sampled_from(OnConflict)
)
receipts = st.builds(
    lambda key, body: (key, body),
    st.sampled_from(["order-1", "order-2"]),
    st.sampled_from(["b1", "b2", None]),
)
wishes = st.fixed_dictionaries(
    {
        "type": st.sampled_from(TYPES),
        "queue": st.sampled_from(QUEUES),
        "priority": st.integers(-1, 1),
        "delay": st.sampled_from([0, 0, 0, 20 * SECOND]),
        "state": st.sampled_from([State.PENDING] * 5 + [State.BLOCKED]),
        "unique": st.one_of(st.none(), uniques),
        "receipt": st.one_of(st.none(), st.none(), receipts),
        "max_attempts": st.integers(1, 3),
    }
)
known_types = st.sampled_from([frozenset(TYPES), frozenset({"mail"}), frozenset({"image"})])
pick = st.integers(0, 10**6)
