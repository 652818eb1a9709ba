"""The set of built-in job types."""

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from headrace.engine.registry import Registered
from headrace.handlers.addresses import allowed_pair
from headrace.handlers.batch_import import batch_import_type
from headrace.handlers.mail import MailServer, Sender
from headrace.handlers.process_file import process_file_type
from headrace.handlers.send_email import send_email_type
from headrace.handlers.signing import Signer
from headrace.handlers.webhook import webhook_delivery_type
from headrace.settings import Settings

if TYPE_CHECKING:
    from headrace.handlers.outbound import Outbound


def job_types(settings: Settings, *, outbound: "Outbound | None" = None) -> tuple[Registered, ...]:
    """The built-in job types whose packages are installed, set up as the settings say.

    ``outbound`` takes the place of the network guard made from the settings. Raises InvalidInput
    for a setting that cannot be used.
    """
    for pair in settings.outbound_allow:
        allowed_pair(pair)
    signer = Signer(settings.webhook_secrets)
    server = None if settings.smtp_url is None else MailServer.parse(settings.smtp_url)
    sender = Sender.parse(settings.mail_from)

    @cache
    def guard() -> "Outbound":
        from headrace.handlers.outbound import Outbound

        return outbound or Outbound(allow=settings.outbound_allow)

    types = [batch_import_type(), process_file_type()]
    if _installed("httpx2"):
        types.append(webhook_delivery_type(guard, signer))
    if _installed("aiosmtplib", "jinja2"):
        types.append(send_email_type(server, sender))
    return tuple(types)


def _installed(*packages: str) -> bool:
    return all(find_spec(package) is not None for package in packages)
