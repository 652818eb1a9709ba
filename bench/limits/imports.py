"""An interpreter that has imported packages and waits: ``python -m bench.limits.imports MODULE …``."""

import importlib
import sys
import time

from bench import probe

if __name__ == "__main__":
    for name in sys.argv[1:]:
        assert importlib.import_module(name).__file__
    probe.hit()
    time.sleep(60)
