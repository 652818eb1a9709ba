"""The trouble of something that can be done without.

Where nobody has said where events go, they would go to stdout, which belongs to the program: then nothing is
logged, and the trouble is only shown by whoever is asked for the store's health.
"""

from logging import INFO, WARNING


class Noted:
    """Keeps the latest trouble for whoever asks, and tells a logger when it begins and when it is over."""

    def __init__(self, event: str, logger: str) -> None:
        self._event = event
        self._logger = logger
        self.latest: str | None = None

    def note(self, error: BaseException) -> None:
        """There is trouble."""
        known, self.latest = self.latest, str(error) or type(error).__name__
        if known is None:
            self._tell(WARNING, self._event, error=self.latest)

    def clear(self) -> None:
        """It works, or works again."""
        if self.latest is not None:
            self.latest = None
            self._tell(INFO, f"{self._event}_over")

    def _tell(self, level: int, event: str, **fields: str) -> None:
        import structlog  # noqa: PLC0415 - without trouble nobody needs it

        if structlog.is_configured():
            structlog.get_logger(self._logger).log(level, event, **fields)
