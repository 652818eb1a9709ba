"""Workers: they claim jobs, run their handlers and report outcomes."""
