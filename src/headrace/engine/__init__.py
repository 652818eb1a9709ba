"""The engine: what jobs mean to a program, between the faces and the stores."""
