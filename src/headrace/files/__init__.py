"""Stored files: named by id, never by path."""
