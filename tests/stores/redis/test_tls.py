"""TLS: a server is believed if somebody we trust vouches for its name.

The tests' own server speaks no TLS, so it stands behind somebody who does.
"""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from headrace.errors import StoreUnavailable
from headrace.stores.open import open_store
from tests.builders import a_job, claim, enqueue, settle

HOST = "127.0.0.1"


@asynccontextmanager
async def encrypted(url: str, folder: Path, address: str = HOST) -> AsyncIterator[str]:
    """The server of a URL behind TLS, with a certificate for this address; the folder gets it as ca.pem."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(folder, address))
    target = urlsplit(url)
    async with asyncio.TaskGroup() as links:

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection(target.hostname, target.port)
            pair = (links.create_task(copy(reader, back)), links.create_task(copy(there, writer)))
            await asyncio.wait(pair, return_when=asyncio.FIRST_COMPLETED)
            for one in (back, writer):
                one.close()

        server = await asyncio.start_server(forward, HOST, 0, ssl=context)
        try:
            yield f"rediss://{HOST}:{server.sockets[0].getsockname()[1]}{target.path}"
        finally:
            server.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        return  # a side that was closed in the middle


def certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "headrace tests")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "ca.pem", folder / "server.key"
    pem.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pem, secret


async def test_jobs_go_over_tls_to_a_server_that_is_vouched_for(url, tmp_path):
    async with encrypted(url, tmp_path) as there:
        store = await open_store(f"{there}?ssl_ca_certs={tmp_path / 'ca.pem'}")
        await store.migrate()
        await enqueue(store, a_job(), a_job())
        jobs = await claim(store)
        for job in jobs:
            await settle(store, job)
        wakeups = (await store.check()).details["wakeups"]
        await store.close()

    assert len(jobs) == 2
    assert wakeups == "listening"


@pytest.mark.parametrize(
    ("option", "address"),
    [
        ("", HOST),  # nobody whom the system trusts vouches for it
        ("?ssl_ca_certs={folder}/ca.pem", "127.0.0.2"),  # it is another one's certificate
    ],
)
async def test_server_that_nobody_vouches_for_is_not_believed(url, tmp_path, option, address):
    async with encrypted(url, tmp_path, address) as there:
        store = await open_store(there + option.format(folder=tmp_path))

        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            await store.now()
        await store.close()


@pytest.mark.parametrize(
    "option", ["ssl_cert_reqs=none", "ssl_ca_certs={folder}/ca.pem&ssl_check_hostname=false"]
)
async def test_check_that_is_switched_off_is_not_made(url, tmp_path, option):
    async with encrypted(url, tmp_path, "127.0.0.2") as there:
        store = await open_store(f"{there}?{option.format(folder=tmp_path)}")

        now = await store.now()
        await store.close()

    assert now > 0


async def test_server_without_tls_is_not_spoken_to_in_the_open(url):
    store = await open_store(f"{url.replace('redis://', 'rediss://')}?connect_timeout=2")

    with pytest.raises(StoreUnavailable):
        await store.now()
    await store.close()
