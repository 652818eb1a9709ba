"""An interpreter that imported the two largest packages and waits."""

import time

import apsw
import pydantic

from bench import probe

if __name__ == "__main__":
    assert all((apsw.Connection, pydantic.TypeAdapter))
    probe.hit()
    time.sleep(60)
