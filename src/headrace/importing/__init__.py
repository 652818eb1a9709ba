"""Taking in the waiting jobs of a BullMQ queue: its keys are read and never written.

All jobs are looked at before the first one is written. Each is taken in with a receipt, so that a repeat
takes in what is missing and nothing twice.
"""
