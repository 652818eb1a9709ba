"""The HTTP service as a process that can be killed, and a client that repeats what got no answer."""

import asyncio
import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Final

from headrace.errors import OutcomeUnknown, StoreUnavailable
from tests.crash.kit.children import Child, Fleet, tie_to_parent
from tests.crash.kit.history import History

MODULE: Final = "tests.crash.kit.frontdoor"
ANSWER_WITHIN: Final = 20.0
ANSWERS: Final = (200, 201)


class FrontDoor:
    """The service on one port, started again after each kill."""

    def __init__(self, fleet: Fleet, url: str, lease_ms: int) -> None:
        self._fleet = fleet
        self._env = {"HEADRACE_LEASE": f"{lease_ms / 1000:g}"}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: Final[int] = probe.getsockname()[1]
        self._url = url
        self.process = self._start()

    def keep_up(self) -> None:
        """Starts it again if it is down."""
        if not self.process.alive:
            self.process = self._start()

    def _start(self) -> Child:
        return self._fleet.start(
            MODULE, "--port", self.port, "--url", self._url, "--no-worker", env=self._env
        )


class Caller:
    """Enqueues over HTTP. A call without an answer is made again with the same idempotency key (C5)."""

    def __init__(self, port: int, history: History) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._history = history
        self.repeats = 0

    async def enqueue(self, key: str, body: Mapping[str, object]) -> str:
        """The job's id, as soon as the service answers."""
        while True:
            try:
                with self._history.call("enqueue") as under:
                    job_id = await asyncio.to_thread(self._post, dict(body) | {"idempotencyKey": key})
                    under.jobs = (job_id,)
                return job_id
            except (StoreUnavailable, OutcomeUnknown):
                self.repeats += 1
                await asyncio.sleep(0.05)

    def _post(self, body: Mapping[str, object]) -> str:
        request = urllib.request.Request(
            f"{self._base}/jobs",
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_WITHIN) as answer:
                return str(json.load(answer)["jobId"])
        except urllib.error.HTTPError as error:
            if error.code in {503, 507}:
                raise StoreUnavailable(f"the service answered {error.code}") from error
            raise
        except urllib.error.URLError as error:
            if isinstance(error.reason, ConnectionRefusedError):
                raise StoreUnavailable("nobody listens") from error
            raise OutcomeUnknown(f"no answer: {error.reason}") from error
        except (OSError, ValueError) as error:
            raise OutcomeUnknown(f"the answer broke off: {error!r}") from error


if __name__ == "__main__":
    tie_to_parent()
    from headrace import cli

    sys.exit(cli.run(["serve", *sys.argv[1:]]))
