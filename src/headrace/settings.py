"""The settings of a process, as one frozen value. The only reader of the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.core.ids import checked_name

DEFAULT_URL = "sqlite:///headrace.db"
DEFAULT_PORT = 8787
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says.

    HEADRACE_URL: the store. HEADRACE_NAMESPACE: whose jobs. HEADRACE_FILES: the folder of stored
    files, beside the SQLite file unless set. HEADRACE_SMTP_URL: the mail server, such as
    ``smtp://user:password@host:587``. HEADRACE_MAIL_FROM: the sender. HEADRACE_OUTBOUND_ALLOW:
    ``host:port`` pairs, comma-separated, that outgoing requests may reach although the network
    guard would refuse them. HEADRACE_WEBHOOK_SECRETS: signing secrets (``whsec_…``), the newest
    first, comma-separated. HEADRACE_LEASE: seconds a lease lasts. HEADRACE_LOG_LEVEL: debug, info, warning
    or error.
    """

    url: str = field(default=DEFAULT_URL, repr=False)  # may hold a password
    namespace: str = "default"
    files: str | None = None
    smtp_url: str | None = field(default=None, repr=False)
    mail_from: str = "Headrace <headrace@localhost>"
    outbound_allow: tuple[str, ...] = ()
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    lease: float = 30.0
    log_level: str = "info"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Reads the settings. Raises InvalidInput for a value that cannot be used."""
        read = os.environ if environment is None else environment
        defaults = cls()
        return cls(
            url=read.get("HEADRACE_URL") or defaults.url,
            namespace=checked_name(read.get("HEADRACE_NAMESPACE") or defaults.namespace, "namespace"),
            files=read.get("HEADRACE_FILES") or None,
            smtp_url=read.get("HEADRACE_SMTP_URL") or None,
            mail_from=read.get("HEADRACE_MAIL_FROM") or defaults.mail_from,
            outbound_allow=_list(read.get("HEADRACE_OUTBOUND_ALLOW", "")),
            webhook_secrets=_list(read.get("HEADRACE_WEBHOOK_SECRETS", "")),
            lease=_seconds(read.get("HEADRACE_LEASE"), defaults.lease),
            log_level=checked_log_level(
                read.get("HEADRACE_LOG_LEVEL") or defaults.log_level, "HEADRACE_LOG_LEVEL"
            ),
        )

    def environment(self) -> dict[str, str]:
        """This process's environment, changed so that a child process reads these settings."""
        told = {
            "HEADRACE_URL": self.url,
            "HEADRACE_NAMESPACE": self.namespace,
            "HEADRACE_FILES": self.files or "",
            "HEADRACE_SMTP_URL": self.smtp_url or "",
            "HEADRACE_MAIL_FROM": self.mail_from,
            "HEADRACE_OUTBOUND_ALLOW": ",".join(self.outbound_allow),
            "HEADRACE_WEBHOOK_SECRETS": ",".join(self.webhook_secrets),
            "HEADRACE_LEASE": f"{self.lease:g}",
            "HEADRACE_LOG_LEVEL": self.log_level,
        }
        return {**os.environ, **told}


def redis_environment() -> Mapping[str, str]:
    """What the environment says of a Redis server, for URLs that name none: REDIS_HOST and its like."""
    return {name: value for name, value in os.environ.items() if name.startswith("REDIS_")}


def checked_lease(seconds: float, name: str) -> float:
    """The length of a lease. Raises InvalidInput, which names the setting, for one that makes no sense."""
    from headrace.errors import InvalidInput  # noqa: PLC0415

    if not 1.0 <= seconds <= 3600.0:  # noqa: PLR2004 - bounds of a sane lease
        msg = f"{name} must lie between 1 and 3600 seconds"
        raise InvalidInput(msg, field=name)
    return seconds


def checked_log_level(text: str, name: str) -> str:
    """The level in small letters. Raises InvalidInput, which names the setting, for one that is not known."""
    from headrace.errors import InvalidInput  # noqa: PLC0415

    level = text.strip().lower()
    if level not in LOG_LEVELS:
        msg = f"{name} must be one of {', '.join(LOG_LEVELS)}, not {text[:40]!r}"
        raise InvalidInput(msg, field=name)
    return level


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _seconds(text: str | None, default: float) -> float:
    from headrace.errors import InvalidInput  # noqa: PLC0415

    if not text:
        return default
    try:
        value = float(text)
    except ValueError as error:
        msg = f"HEADRACE_LEASE must be a number of seconds, not {text!r}"
        raise InvalidInput(msg, field="HEADRACE_LEASE") from error
    return checked_lease(value, "HEADRACE_LEASE")
