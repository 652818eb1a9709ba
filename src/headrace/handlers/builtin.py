"""The built-in job types for child processes, which import ``headrace.handlers.builtin:registry``."""

from headrace.engine.registry import Registry
from headrace.handlers import job_types
from headrace.settings import Settings

registry = Registry(job_types(Settings.from_environment()))
