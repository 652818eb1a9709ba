"""Measures Headrace against a peer and against what the machine can do. Run it with ``python -m bench``."""
