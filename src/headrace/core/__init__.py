"""What jobs mean: pure values and rules, without I/O, clock or chance of their own."""
