"""Google's service accounts: the assertion is byte for byte that of google-auth."""

from __future__ import annotations

import base64
import datetime
import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import Twin, generic_client
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from google.oauth2 import service_account

import oauth_core

NOW = 1_750_000_000
SCOPES = ["https://www.googleapis.com/auth/drive", "https://www.googleapis.com/auth/gmail.readonly"]


@pytest.fixture(scope="module")
def file() -> dict[str, str]:
    """A service account file with a generated key."""
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
def test_the_assertion_is_identical_to_that_of_google_auth(
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


def test_an_invalid_service_account_file_is_rejected_and_its_key_is_not_shown(file: dict[str, str]) -> None:
    for name, value in [("type", "authorized_user"), ("private_key", ""), ("token_uri", "https://evil.example/token")]:
        with pytest.raises(oauth_core.MisuseError) as refused:
            client({**file, name: value})
        assert refused.value.code == "provider.data"
        assert name in str(refused.value)
    with pytest.raises(oauth_core.MisuseError) as refused:
        client({**file, "private_key": "-----BEGIN PRIVATE KEY-----\n"})
    assert refused.value.code.startswith("key.")
    auth = oauth_core.ServiceAccount(json.dumps(file))
    assert "PRIVATE" not in f"{auth!r} {client(file)!r}"
    with pytest.raises(oauth_core.MisuseError):
        oauth_core.Client(oauth_core.provider("google"), client_id="another", client_auth=auth)


def encoded(value: int) -> str:
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("way", ["from_json", "from_file"])
def test_a_client_from_a_service_account_file_gets_tokens(file: dict[str, str], generic: Twin, tmp_path: Path, way: str) -> None:
    """The twin replaces Google: it gets the request that Google would get."""
    key = serialization.load_pem_private_key(file["private_key"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    public = key.public_key().public_numbers()
    jwk = {"kty": "RSA", "n": encoded(public.n), "e": encoded(public.e)}
    generic._control("accept_service_accounts", {"token_uri": file["token_uri"]})
    text = json.dumps(file)
    (tmp_path / "account.json").write_text(text)
    made = oauth_core.Client.from_json(text)
    if way == "from_file":
        made = oauth_core.Client.from_file(tmp_path / "account.json")
    assert made.client_id == file["client_email"]
    assert "PRIVATE" not in repr(made)

    def fetch_tokens() -> oauth_core.Tokens:
        exchange = made.exchange.client_credentials(scope="read write")
        step = next(exchange)
        assert isinstance(step, oauth_core.Send) and step.url == file["token_uri"]
        request = urllib.request.Request(f"{generic.base}/token", bytes(step.body), dict(step.headers))
        try:
            with urllib.request.urlopen(request) as reply:
                response = (reply.status, list(reply.headers.items()), reply.read())
        except urllib.error.HTTPError as reply:
            response = (reply.code, list(reply.headers.items()), reply.read())
        with pytest.raises(StopIteration) as done:
            exchange.send(response)
        tokens: oauth_core.Tokens = done.value.value
        return tokens

    # An account with an unknown key gets no token.
    with pytest.raises(oauth_core.DeniedError) as refused:
        fetch_tokens()
    assert refused.value.code == "denied.invalid_grant"
    generic.register_assertion_key(file["client_email"], jwk)
    tokens = fetch_tokens()
    assert tokens.scope == {"read", "write"}
    introspected = generic_client(generic).introspect(token=tokens.access_token)
    assert (introspected.active, introspected.subject) == (True, file["client_email"])


def test_errors_of_an_invalid_client_file_name_the_problem(file: dict[str, str], tmp_path: Path) -> None:
    def refused(text: str) -> oauth_core.MisuseError:
        (tmp_path / "account.json").write_text(text)
        errors = []
        reads: tuple[Callable[[], oauth_core.Client], ...] = (
            lambda: oauth_core.Client.from_json(text),
            lambda: oauth_core.Client.from_file(tmp_path / "account.json"),
        )
        for read in reads:
            with pytest.raises(oauth_core.MisuseError) as raised:
                read().client_credentials().token()
            assert "PRIVATE" not in f"{raised.value!r}" and file["private_key"][40:80] not in f"{raised.value!r}"
            errors.append(raised.value)
        # A file that is too large is not read to its end.
        is_large = len(text) > 64 << 10
        assert errors[1].code == ("client_file.unreadable" if is_large else errors[0].code)
        return errors[0]

    for name in ("client_email", "private_key", "private_key_id", "token_uri"):
        for value in (None, "", 7, ["x"]):
            error = refused(json.dumps({**file, name: value}))
            assert (error.code, name in str(error)) == ("provider.data", True), value
        error = refused(json.dumps({key: value for key, value in file.items() if key != name}))
        assert (error.code, name in str(error)) == ("provider.data", True)
    for uri in ("http://oauth2.googleapis.com/token", "https://evil.example/token"):
        assert refused(json.dumps({**file, "token_uri": uri})).code == "provider.data"
    assert refused(json.dumps({**file, "type": "authorized_user"})).code == "client_file.unsupported"
    assert refused(json.dumps({**file, "type": "service_acount"})).code == "client_file.malformed"
    pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    assert refused(json.dumps({**file, "private_key": pem})).code.startswith("key.")
    for text in (json.dumps(file)[:-1], "[]", "", json.dumps({**file, "pad": "x" * (64 << 10)})):
        assert refused(text).code == "client_file.malformed"


def test_the_path_of_a_key_file_is_named_as_the_mistake() -> None:
    for path in ("service-account.json", "/run/secrets/google-key"):
        with pytest.raises(oauth_core.MisuseError) as caught:
            oauth_core.ServiceAccount(path)
        assert caught.value.code == "client_auth.key_file_path"
        assert "Path(path).read_text()" in (caught.value.hint or "")
        assert "content" in str(caught.value) and path not in str(caught.value)
