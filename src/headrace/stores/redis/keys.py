"""Every key that the store keeps, and nothing else does.

All keys of a namespace begin with its root, whose hash tag keeps them together in one slot of a cluster.
"""

from dataclasses import dataclass, field
from typing import Final

SEPARATOR: Final = "\x1f"
"""Stands between the parts of a member or a key: no name, lane or key can hold it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one namespace, or of one of its partitions beyond the first, which is its home."""

    prefix: str
    namespace: str
    partition: int = 0
    root: str = field(init=False)

    def __post_init__(self) -> None:
        tag = f"{self.namespace}/{self.partition}" if self.partition else self.namespace
        object.__setattr__(self, "root", f"{self.prefix}:{{{tag}}}")

    def job(self, job_id: str) -> str:
        """Hash: the job."""
        return f"{self.root}:j:{job_id}"

    def ready(self, queue: str) -> str:
        """Sorted set of members: due jobs, in claim order."""
        return f"{self.root}:q:{queue}:ready"

    def later(self, queue: str) -> str:
        """Sorted set of members by due time: jobs that are due later."""
        return f"{self.root}:q:{queue}:later"

    def parked(self, lane: str, queue: str) -> str:
        """Sorted set of members: jobs parked on a lane, the best first."""
        return f"{self.root}:parked:{lane}{SEPARATOR}{queue}"

    @property
    def parkings(self) -> str:
        """Sorted set of lane and queue: where jobs are parked."""
        return f"{self.root}:parkings"

    @property
    def lease(self) -> str:
        """Sorted set of ids by the end of the lease: running jobs."""
        return f"{self.root}:lease"

    @property
    def live(self) -> str:
        """Sorted set of ids by seq: jobs that have not ended."""
        return f"{self.root}:live"

    def ended(self, state: str, job_type: str) -> str:
        """Sorted set of ids by seq: jobs of a type that ended in a state."""
        return f"{self.root}:ended:{state}:{job_type}"

    @property
    def died(self) -> str:
        """Sorted set of seq and id by time: when jobs failed."""
        return f"{self.root}:died"

    @property
    def erase(self) -> str:
        """Sorted set of ids by time: when jobs may be erased."""
        return f"{self.root}:erase"

    def lock(self, unique_lock: str) -> str:
        """Text: the id of the job that holds a unique lock."""
        return f"{self.root}:u:{unique_lock}"

    def unique_key(self, key: str) -> str:
        """Sorted set of ids by seq: jobs that brought a unique key."""
        return f"{self.root}:ukey:{key}"

    def tag(self, tag: str) -> str:
        """Sorted set of ids by seq: jobs with a tag."""
        return f"{self.root}:tag:{tag}"

    def batch(self, batch_id: str) -> str:
        """Sorted set of ids by seq: members of a batch."""
        return f"{self.root}:batch:{batch_id}"

    def batch_live(self, batch_id: str) -> str:
        """Sorted set of ids by seq: members of a batch that have not ended."""
        return f"{self.root}:batchlive:{batch_id}"

    def order(self, lane: str) -> str:
        """Sorted set of ids by seq: live jobs of an ordering key."""
        return f"{self.root}:order:{lane}"

    def lane(self, lane: str) -> str:
        """Hash: what is kept of a lane, and a number that whatever touches it raises."""
        return f"{self.root}:lane:{lane}"

    @property
    def lanes(self) -> str:
        """Sorted set: lanes of which something is kept."""
        return f"{self.root}:lanes"

    def slots(self, lane: str) -> str:
        """Sorted set of ids by seq: jobs that hold a slot of a lane."""
        return f"{self.root}:slots:{lane}"

    def turn(self, lane: str) -> str:
        """Sorted set of ids by seq: running jobs of an ordering key."""
        return f"{self.root}:turn:{lane}"

    def begun(self, lane: str) -> str:
        """Sorted set of ids by seq: live jobs of an ordering key that have started and let nobody pass."""
        return f"{self.root}:begun:{lane}"

    @property
    def versions(self) -> str:
        """Text: the latest number that a lane was given when it was touched."""
        return f"{self.root}:versions"

    def note(self, job_id: str) -> str:
        """Hash: what the holders of a job noted."""
        return f"{self.root}:note:{job_id}"

    def lines(self, job_id: str) -> str:
        """List of JSON texts: what the handlers of a job logged."""
        return f"{self.root}:lines:{job_id}"

    def steps(self, job_id: str) -> str:
        """Hash by number: the kept steps of a job."""
        return f"{self.root}:steps:{job_id}"

    def signals(self, job_id: str) -> str:
        """Hash by id: the signals given to a job."""
        return f"{self.root}:signals:{job_id}"

    def up(self, child: str) -> str:
        """Hash by number: for what a job waits, and what becomes of it then."""
        return f"{self.root}:up:{child}"

    def down(self, parent: str) -> str:
        """Sorted set of ids by seq: jobs that wait for a job, or did."""
        return f"{self.root}:down:{parent}"

    @property
    def waiting(self) -> str:
        """Sorted set of ids by seq: jobs that wait for others."""
        return f"{self.root}:waiting"

    def register(self, key: str) -> str:
        """Hash: a register."""
        return f"{self.root}:r:{key}"

    @property
    def registers(self) -> str:
        """Sorted set: the keys of the registers."""
        return f"{self.root}:rs"

    def registers_due(self, kind: str) -> str:
        """Sorted set of keys by due time: the registers of a kind that have one."""
        return f"{self.root}:rdue:{kind}"

    @property
    def registers_gone(self) -> str:
        """Text: the highest revision of a register that was removed."""
        return f"{self.root}:rgone"

    def records(self, kind: str) -> str:
        """Hash by key: the records of a kind."""
        return f"{self.root}:rec:{kind}"

    def records_at(self, kind: str) -> str:
        """Sorted set of keys by time: the records of a kind."""
        return f"{self.root}:recat:{kind}"

    @property
    def records_until(self) -> str:
        """Sorted set of kind and key by time: until when records are kept."""
        return f"{self.root}:recuntil"

    def receipt(self, key: str) -> str:
        """Hash: which job answers for an idempotency key."""
        return f"{self.root}:receipt:{key}"

    @property
    def receipts(self) -> str:
        """Sorted set of keys by time: until when receipts are good."""
        return f"{self.root}:receipts"

    @property
    def queues(self) -> str:
        """Hash by name: whether a queue is paused."""
        return f"{self.root}:queues"

    @property
    def tally(self) -> str:
        """Hash by queue, type and state: how many jobs there are."""
        return f"{self.root}:tally"

    @property
    def workers(self) -> str:
        """Hash by name: what a worker said of itself."""
        return f"{self.root}:workers"

    @property
    def seq(self) -> str:
        """Text: the seq of the latest job."""
        return f"{self.root}:seq"

    @property
    def insistence(self) -> str:
        """Text: an insert of fair jobs that has started over too often; the others wait for it."""
        return f"{self.root}:insistence"

    @property
    def log(self) -> str:
        """Hash: the settings of the event log."""
        return f"{self.root}:log"

    @property
    def changes(self) -> str:
        """Stream: the event log."""
        return f"{self.root}:changes"

    @property
    def partitions(self) -> str:
        """Hash by queue: how many partitions it has. In the home only."""
        return f"{self.root}:partitions"

    @property
    def intents(self) -> str:
        """Hash by id: what an op has decided here and still owes to other partitions."""
        return f"{self.root}:intents"

    @property
    def once(self) -> str:
        """Sorted set by time: what was done here of the intents of other partitions."""
        return f"{self.root}:once"

    @property
    def shared(self) -> str:
        """Hash by lane: the limits that partitions share, and for which revision of the definitions."""
        return f"{self.root}:shared"

    @property
    def shares(self) -> str:
        """Hash by lane: what this partition has of a limit that is shared; the home: what it has lent."""
        return f"{self.root}:shares"
