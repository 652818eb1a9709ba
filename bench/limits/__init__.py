"""What the machine can do when everything but the essential is left out."""
