"""The built-in job types.

app = App()
app.include(job_types(app.settings))
"""

from headrace.handlers.types import job_types

__all__ = ["job_types"]
