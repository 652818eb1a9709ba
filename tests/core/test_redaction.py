import pytest

from headrace.core.redaction import REDACTED, is_secret, redacted, redacted_text


@pytest.mark.parametrize(
    "name",
    [
        "password", "smtp_password", "userPassword", "PASSWORD", "token", "accessToken", "api_key", "apiKey",
        "API-KEY", "apikey", "Authorization", "client_secret", "secrets", "cookie", "private_key", "pwd",
        "aws_access_key", "signingKey",
    ],
)  # fmt: skip
def test_names_of_secrets_are_known(name):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["key", "unique_key", "tokens_used_by", "tokenize", "compass", "author", "keyboard", "page", ""]
)
def test_other_names_are_left_alone(name):
    assert not is_secret(name)


def test_values_under_secret_names_go_at_every_depth():
    given = {"a": [{"token": "t", "n": 1}], "password": {"deep": 1}, "secret": None, "plain": "x"}

    assert redacted(given) == {
        "a": [{"token": REDACTED, "n": 1}],
        "password": REDACTED,
        "secret": None,
        "plain": "x",
    }


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://me:s3cr:et@host/db", f"postgresql://me:{REDACTED}@host/db"),
        ("Authorization: Bearer abcdef123456", f"Authorization: Bearer {REDACTED}"),
        ("?token=abc&page=2", f"?token={REDACTED}&page=2"),
        ("password = hunter2, user=x", f"password = {REDACTED}, user=x"),
        ('{"api_key": "abc"}', f'{{"api_key": "{REDACTED}"}}'),
        ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", f"signed with {REDACTED}"),
        ("https://host/path?page=2", "https://host/path?page=2"),
        ("the token was refused", "the token was refused"),
        ("at 10:30 a@b.c wrote", "at 10:30 a@b.c wrote"),
    ],
)
def test_secrets_in_texts_are_replaced_and_the_rest_stays(text, clean):
    assert redacted_text(text) == clean
    assert redacted_text(clean) == clean


@pytest.mark.parametrize("value", [1, 1.5, True, None, [], {}])
def test_other_values_stay(value):
    assert redacted(value) == value
