"""The processes that run Headrace for a measurement."""
