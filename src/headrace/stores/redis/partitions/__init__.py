"""Queues that are spread over several partitions of a namespace, each with keys of its own.

Needs ``redis``: import from here only where the URL asks for it.
"""
