"""What runs inside a peer's own environment: its handlers, its worker, its producers."""
