"""A queue of BullMQ, written as BullMQ writes it.

The keys were compared by hand with those that ``bullmq`` 6.7.0 and 5.81.5 from npm left in a Valkey 9.1 after
``Queue.add``, ``addBulk``, ``pause``, ``upsertJobScheduler`` and ``FlowProducer.add``. The two differ in one
thing: while a queue is paused its jobs wait in ``wait`` in 6, and in ``paused`` in 5.
"""

import base64
import json
from typing import Any

import redis

from tests.builders import NOW

PRIORITY = 0x1_0000_0000
DELAY = 0x1000


class Bull:
    def __init__(
        self, client: redis.Redis, name: str = "mail", *, prefix: str = "bull", version: str = "6.7.0"
    ) -> None:
        self.client = client
        self.name = name
        self.prefix = prefix
        self.version = version
        self._list = "wait"
        self._added = 0
        client.hset(self.key("meta"), mapping={"opts.maxLenEvents": 10_000, "version": f"bullmq:{version}"})

    def key(self, part: str) -> str:
        return f"{self.prefix}:{self.name}:{part}"

    def add(
        self,
        name: str = "send",
        data: Any = None,
        *,
        raw: str | None = None,
        values: dict[str, Any] | None = None,
        **opts: Any,
    ) -> str:
        """As ``queue.add(name, data, opts)``; ``raw`` is the data's text, ``values`` more of the hash."""
        number = self.client.incr(self.key("id"))
        job_id = str(opts.get("jobId", number))
        self._added += 1
        mapping = {
            "name": name,
            "data": raw
            if raw is not None
            else json.dumps({} if data is None else data, separators=(",", ":")),
            "opts": json.dumps({"attempts": 0, **opts}, separators=(",", ":")),
            "timestamp": NOW + self._added,
            "delay": opts.get("delay", 0),
            "priority": opts.get("priority", 0),
            **(values or {}),
        }
        self.client.hset(self.key(job_id), mapping=mapping)
        if delay := opts.get("delay"):
            score = (NOW + self._added + delay) * DELAY
            self.client.zadd(self.key("delayed"), {job_id: score})
        elif priority := opts.get("priority"):
            counter = self.client.incr(self.key("pc"))
            self.client.zadd(self.key("prioritized"), {job_id: priority * PRIORITY + counter})
        elif opts.get("lifo"):
            self.client.rpush(self.key(self._list), job_id)
        else:
            self.client.lpush(self.key(self._list), job_id)
        return job_id

    def fill(self, count: int) -> None:
        """Many jobs at once."""
        for start in range(0, count, 5_000):
            pipe = self.client.pipeline(transaction=False)
            numbers = range(start + 1, min(start + 5_000, count) + 1)
            for number in numbers:
                mapping = {
                    "name": "send",
                    "data": f'{{"to":"{number}"}}',
                    "opts": '{"attempts":0}',
                    "timestamp": NOW,
                    "delay": 0,
                    "priority": 0,
                }
                pipe.hset(self.key(str(number)), mapping=mapping)
            pipe.lpush(self.key("wait"), *numbers)
            pipe.execute()

    def pause(self) -> None:
        """As ``queue.pause()``."""
        self.client.hset(self.key("meta"), "paused", 1)
        if self.version.startswith("5"):
            self._list = "paused"
            if self.client.exists(self.key("wait")):
                self.client.rename(self.key("wait"), self.key("paused"))

    def start(self, job_id: str, *, locked: bool = True) -> None:
        """As a worker does when it takes a job."""
        self.client.lrem(self.key("wait"), 1, job_id)
        self.client.lpush(self.key("active"), job_id)
        if locked:
            self.client.set(self.key(f"{job_id}:lock"), "token", px=30_000)

    def schedule(self, scheduler: str, next_at: int, **values: Any) -> None:
        """As ``queue.upsertJobScheduler``: the scheduler, and the run that is kept ready."""
        self.client.zadd(self.key("repeat"), {scheduler: next_at})
        self.client.hset(self.key(f"repeat:{scheduler}"), mapping={"name": "send", "ic": 1, **values})
        ready = f"repeat:{scheduler}:{next_at}"
        self.client.hset(
            self.key(ready),
            mapping={
                "name": "send",
                "data": values.get("data", "{}"),
                "opts": json.dumps({"repeatJobKey": scheduler, "jobId": ready}),
                "timestamp": NOW,
                "delay": next_at - NOW,
                "priority": 0,
                "rjk": scheduler,
            },
        )
        self.client.zadd(self.key("delayed"), {ready: next_at * DELAY})

    def flow(self) -> None:
        """As ``FlowProducer.add`` with one child."""
        values = {
            "parentKey": self.key("parent"),
            "parent": json.dumps({"id": "parent", "queueKey": "bull:mail"}),
        }
        self.client.hset(self.key("parent"), mapping={"name": "send", "data": "{}", "opts": "{}"})
        self.client.zadd(self.key("waiting-children"), {"parent": NOW})
        self.client.sadd(self.key("parent:dependencies"), self.key("child"))
        self.add(data={"to": "child"}, jobId="child", values=values)

    @property
    def client_name(self) -> str:
        return f"{self.prefix}:{base64.b64encode(self.name.encode()).decode()}"

    def everything(self) -> dict[bytes, bytes]:
        """All that is in the database, to see that nothing has changed."""
        return {key: self.client.dump(key) for key in self.client.scan_iter(count=1_000)}
