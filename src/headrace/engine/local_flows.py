"""The operations on flows, as ``LocalOperations`` passes them on."""

from headrace.core.flow import MAX_SHOWN
from headrace.core.flow_view import FlowView
from headrace.engine.flows import Flows


class LocalFlows:
    """Passes on to the part; what each call promises stands at ``FlowOperations``."""

    flow_engine: Flows

    async def flow(self, job_id: str, *, limit: int = MAX_SHOWN) -> FlowView:
        return await self.flow_engine.view(job_id, limit=limit)
