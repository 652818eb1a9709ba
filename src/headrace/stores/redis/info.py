"""What a server says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

OLDEST_SERVER: Final = (6, 2)
_EVICTING: Final = "allkeys-"  # the other policies evict keys with a time to live, and ours have none


@dataclass(frozen=True, slots=True)
class Info:
    """The answer to INFO."""

    fields: Mapping[str, str]

    @classmethod
    def of(cls, text: str) -> "Info":
        """Reads the answer. What a server of another make leaves out reads as nothing."""
        lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
        return cls({name: value.strip() for name, colon, value in lines if colon})

    def text(self, name: str) -> str:
        """A field."""
        return self.fields.get(name, "")

    def number(self, name: str) -> int:
        """A field that is a number; 0 if it is not there."""
        text = self.text(name)
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def product(self) -> str:
        """The make, in small letters."""
        return self.text("server_name") or ("valkey" if self.text("valkey_version") else "redis")

    @property
    def version(self) -> str:
        """The version of the make."""
        return self.text("valkey_version") or self.text("redis_version")

    @property
    def is_too_old(self) -> bool:
        """Whether it lacks what we need. Every make says with which version of Redis it is compatible."""
        numbers = [int(part) for part in self.text("redis_version").split(".") if part.isdigit()]
        return tuple(numbers) < OLDEST_SERVER

    @property
    def evicts(self) -> bool:
        """Whether it deletes keys, and jobs with them, when its memory is full."""
        return self.text("maxmemory_policy").startswith(_EVICTING)

    @property
    def is_cluster(self) -> bool:
        """Whether it is a node of a cluster."""
        return self.text("redis_mode") == "cluster" or self.text("cluster_enabled") == "1"

    @property
    def is_replica(self) -> bool:
        """Whether it follows another server, and takes no writes of ours."""
        return self.text("role") == "slave"

    @property
    def incarnation(self) -> str:
        """Changes with a restart and with a failover."""
        return f"{self.text('run_id')}/{self.text('master_replid')}"
