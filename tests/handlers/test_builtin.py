"""The set of built-in job types."""

import subprocess
import sys

import pytest

from headrace.errors import InvalidInput
from headrace.handlers import job_types
from headrace.settings import Settings

NAMES = {"batch-import", "process-file", "send-email", "webhook-delivery"}


def test_all_types_are_there():
    types = job_types(Settings())

    assert {one.info.name for one in types} == NAMES
    assert all(one.info.description for one in types)
    assert all(one.info.schema["properties"] for one in types)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(smtp_url="mail.example.com"),
        Settings(mail_from="nobody"),
        Settings(outbound_allow=("localhost",)),
        Settings(webhook_secrets=("whsec_short",)),
    ],
)
def test_setting_that_cannot_be_used_is_told_at_the_start(settings):
    with pytest.raises(InvalidInput):
        job_types(settings)


def test_registry_is_importable_and_optional_packages_wait_for_the_first_job():
    program = (
        "import sys; from headrace.handlers.builtin import registry; print(*registry.names);"
        "print(*sorted({'httpx2', 'aiosmtplib', 'jinja2', 'email.message'} & set(sys.modules)))"
    )

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    names, loaded = told.stdout.splitlines()
    assert set(names.split()) == NAMES
    assert not {"httpx2", "aiosmtplib", "jinja2"} & set(loaded.split())
