"""The operations on flows, as every face sees them."""

from typing import Protocol

from headrace.core.flow import MAX_SHOWN
from headrace.core.flow_view import FlowView


class FlowOperations(Protocol):
    """What can be asked of flows. They are enqueued by requests that name each other."""

    async def flow(self, job_id: str, *, limit: int = MAX_SHOWN) -> FlowView:
        """The job with all jobs that are connected with it by waiting for each other, up to ``limit``.

        Raises JobNotFound.
        """
        ...
