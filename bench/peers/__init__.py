"""Other job queues, each run in an environment of its own."""
