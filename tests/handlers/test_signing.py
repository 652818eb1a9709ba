"""Standard Webhooks 1.0.0: the vector of the public suites, and an independent implementation."""

import base64
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from headrace.errors import InvalidInput
from headrace.handlers.signing import Signer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1_614_265_330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def verified(headers: dict[str, str], body: bytes, secret: str = SECRET) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def signed_now(*, shift: int = 0, secrets: tuple[str, ...] = (SECRET,)) -> dict[str, str]:
    return Signer(secrets).headers(ID, int(time.time()) + shift, BODY)


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_")])
def test_signature_equals_the_published_vector(secret):
    headers = Signer([secret]).headers(ID, AT, BODY)

    assert headers == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_signature_is_verified_by_an_independent_implementation():
    assert verified(signed_now(), BODY)


def test_every_secret_signs_so_that_either_verifies():
    headers = signed_now(secrets=(OTHER, SECRET))

    assert len(headers["webhook-signature"].split(" ")) == 2
    assert verified(headers, BODY, SECRET)
    assert verified(headers, BODY, OTHER)


@pytest.mark.parametrize("shift", [-301, 301])
def test_signature_out_of_tolerance_is_not_verified(shift):
    assert not verified(signed_now(shift=shift), BODY)


def test_changed_body_id_or_signature_is_not_verified():
    headers = signed_now()
    cut = {**headers, "webhook-signature": "v1,"}
    other = {**headers, "webhook-signature": SIGNATURE.replace("1OE=", "1OA=")}

    assert not verified(headers, BODY + b" ")
    assert not verified({**headers, "webhook-id": "msg_other"}, BODY)
    assert not verified(cut, BODY)
    assert not verified(other, BODY)
    assert not verified(headers, BODY, OTHER)


def test_without_a_secret_there_is_no_signature():
    assert "webhook-signature" not in Signer().headers(ID, AT, BODY)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!!", "whsec_" + base64.b64encode(bytes(65)).decode()]
)
def test_unusable_secret_is_refused_and_not_repeated(secret):
    with pytest.raises(InvalidInput) as refused:
        Signer([secret])

    assert secret.removeprefix("whsec_") not in str(refused.value) or not secret.removeprefix("whsec_")
