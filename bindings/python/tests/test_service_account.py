"""Google's service accounts, beside google-auth: the same file gives the same assertion, to the byte."""

from __future__ import annotations

import datetime
import json
import urllib.parse
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from google.oauth2 import service_account

import oauth_core

NOW = 1_750_000_000
SCOPES = ["https://www.googleapis.com/auth/drive", "https://www.googleapis.com/auth/gmail.readonly"]


@pytest.fixture(scope="module")
def file() -> dict[str, str]:
    """What the console writes, with a key that was made up."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "0123456789abcdef",
        "private_key": pem.decode(),
        "client_email": "robot@project.iam.gserviceaccount.com",
        "client_id": "1234567890",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


def client(file: dict[str, str], **more: Any) -> oauth_core.Client:
    auth = oauth_core.ServiceAccount(json.dumps(file), **more)
    return oauth_core.Client(oauth_core.provider("google"), client_id=file["client_email"], client_auth=auth)


@pytest.mark.parametrize("subject", [None, "ann@example.com", "ünï@example.com"])
def test_the_assertion_is_that_of_google_auth(
    file: dict[str, str], subject: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.auth import _helpers

    now = datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None)
    monkeypatch.setattr(_helpers, "utcnow", lambda: now)
    credentials: Any = service_account.Credentials
    theirs = credentials.from_service_account_info(file, scopes=SCOPES, subject=subject)
    expected = theirs._make_authorization_grant_assertion()

    exchange = client(file, subject=subject).exchange.client_credentials(scope=SCOPES, moment=lambda: (NOW, bytes(32)))
    step = next(exchange)
    assert isinstance(step, oauth_core.Send)
    assert step.url == "https://oauth2.googleapis.com/token"
    form = dict(urllib.parse.parse_qsl(bytes(step.body).decode()))
    assert form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": expected.decode() if isinstance(expected, bytes) else expected,
    }
    assert "authorization" not in dict(step.headers)


def test_the_file_is_read_before_anything_is_sent_and_its_key_shows_nowhere(file: dict[str, str]) -> None:
    for name, value in [("type", "authorized_user"), ("private_key", ""), ("token_uri", "https://evil.example/token")]:
        with pytest.raises(oauth_core.Misuse) as refused:
            client({**file, name: value})
        assert refused.value.code == "provider.data"
        assert name in str(refused.value)
    with pytest.raises(oauth_core.Misuse) as refused:
        client({**file, "private_key": "-----BEGIN PRIVATE KEY-----\n"})
    assert refused.value.code.startswith("key.")
    auth = oauth_core.ServiceAccount(json.dumps(file))
    assert "PRIVATE" not in f"{auth!r} {client(file)!r}"
    with pytest.raises(oauth_core.Misuse):
        oauth_core.Client(oauth_core.provider("google"), client_id="another", client_auth=auth)
