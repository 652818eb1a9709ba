"""How databases keep jobs: one protocol, one folder per store."""
