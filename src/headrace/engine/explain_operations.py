"""The operation that explains a job, as every face sees it."""

from typing import Protocol

from headrace.core.findings import Explanation


class ExplainOperations(Protocol):
    """What can be asked of a job that does not run."""

    async def explain(self, job_id: str) -> Explanation:
        """Why the job has not run, or not yet: what keeps it most, first. Raises JobNotFound.

        Everything is read, nothing is changed. What is read is not one snapshot: a job that moves on in
        these moments may be explained as it was before.
        """
        ...
