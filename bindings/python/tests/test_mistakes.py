"""Common mistakes of users, and their error messages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from conftest import CALLBACK

import oauth_core
import oauth_core.httpx
from oauth_core import stores

NOBODY = """
import sys
import oauth_core
from oauth_core.stores import FileStore

issuer = "https://as.example"
metadata = {"issuer": issuer, "token_endpoint": issuer + "/t", "authorization_endpoint": issuer + "/a"}
server = oauth_core.Server.from_metadata(issuer, metadata)
source = oauth_core.Client(server, client_id="a").source(store=FileStore(sys.argv[1]), subject="me")
try:
    source.token()
except oauth_core.OAuthError as error:
    print(error.code, error)
"""


def test_nothing_is_printed_if_logging_is_not_configured(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NOBODY, str(tmp_path / "grants")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    # The message says what is wrong.
    assert done.stdout.startswith("grant.no_refresh_token ") and "no user has logged in" in done.stdout


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
def test_a_type_error_names_its_argument(client: oauth_core.Client) -> None:
    wrong: Any = 5
    calls: dict[str, Any] = {
        "client_secret": lambda: oauth_core.Client(client.server, client_id="a", client_secret=wrong),
        "issuer": lambda: oauth_core.discover(wrong),
        "callback_url": lambda: client.redeem(client.authorize(redirect_uri=CALLBACK), wrong),
        "timeout": lambda: oauth_core.Network(timeout="5"),  # type: ignore[arg-type]
    }
    for name, call in calls.items():
        with pytest.raises(TypeError) as caught:
            call()
        # Of a number, in a note.
        told = [str(caught.value), *getattr(caught.value, "__notes__", [])]
        assert any(f"'{name}'" in text for text in told), name


def test_a_missing_client_id_an_empty_token_and_a_missing_client_file_are_refused(client: oauth_core.Client, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="client_id must be given"):
        oauth_core.Client(client.server, client_id=None, client_secret="b")  # type: ignore[call-overload]
    with pytest.raises(oauth_core.MisuseError) as caught:
        oauth_core.fixed_token("", origins=["https://api.example"])
    assert caught.value.code == "token_source.unreadable"
    with pytest.raises(oauth_core.MisuseError, match="nowhere.json") as caught:
        oauth_core.Client.from_file(tmp_path / "nowhere.json")
    assert caught.value.code == "client_file.unreadable" and caught.value.__cause__ is not None


def test_errors_explain_how_to_create_servers_stores_and_methods(client: oauth_core.Client) -> None:
    wrong: Any = "https://as.example"
    with pytest.raises(TypeError, match=r"expected a Server: discover\(issuer\)"):
        oauth_core.Client(wrong, client_id="a")
    with pytest.raises(TypeError, match=r"such as PrivateKeyJwt\(key\)"):
        oauth_core.Client(client.server, client_id="a", client_auth=wrong)
    with pytest.raises(TypeError, match="callable load method, like FileStore"):
        client.client_credentials(store=wrong)


def test_errors_about_origins_name_the_option(client: oauth_core.Client) -> None:
    with pytest.raises(oauth_core.MisuseError, match="`origins`") as caught:
        client.client_credentials().get("https://api.example/")
    assert caught.value.code == "resource.origin_not_allowed" and "`origins`" in (caught.value.hint or "")
    with pytest.raises(TypeError, match="origins must be a list"):
        oauth_core.httpx.Auth(client.client_credentials(), origins="https://api.example")


SURROGATE = "hunter2-\udcff-topsecret"

TEXTS: dict[str, Any] = {
    "client_secret": lambda client, text: oauth_core.Client(client.server, client_id="c", client_secret=text),
    "headers": lambda client, text: oauth_core.Client(client.server, client_id="c", headers={"x": text}),
    "decryption_keys": lambda client, text: oauth_core.Client(client.server, client_id="c", decryption_keys=[text]),
    "fixed_token": lambda _, text: oauth_core.fixed_token(text, origins=["https://a.example"]),
    "Tokens.bearer": lambda _, text: oauth_core.Tokens.bearer(text),
    "Tokens.deserialize": lambda _, text: oauth_core.Tokens.deserialize(text),
    "PendingAuthorization.deserialize": lambda _, text: oauth_core.PendingAuthorization.deserialize(text),
    "ClientSecretBasic": lambda _, text: oauth_core.ClientSecretBasic(text),
    "ClientSecretPost": lambda _, text: oauth_core.ClientSecretPost(text),
    "ClientSecretJwt": lambda _, text: oauth_core.ClientSecretJwt(text),
    "PrivateKeyJwt": lambda _, text: oauth_core.PrivateKeyJwt(text),
    "passphrase": lambda _, text: oauth_core.PrivateKeyJwt("key", passphrase=text),
    "DpopKey": lambda _, text: oauth_core.DpopKey(text),
    "proxy": lambda _, text: oauth_core.Network(proxy=text),
    "SealedStore": lambda _, text: stores.SealedStore(stores.MemoryStore(), text),
    "old": lambda _, text: stores.SealedStore(stores.MemoryStore(), bytes(32), old=[text]),
    "RedisStore": lambda _, text: stores.RedisStore(f"redis://:{text}@127.0.0.1/"),
    "PostgresStore": lambda _, text: stores.PostgresStore(f"postgres://u:{text}@127.0.0.1/"),
    "revoke": lambda client, text: client.revoke(token=text),
    "password": lambda client, text: client.password(username="u", password=text),
    "extra": lambda client, text: client.client_credentials(extra={"assertion": text}),
    "redeem": lambda client, text: client.redeem(client.authorize(redirect_uri=CALLBACK), CALLBACK + "?code=" + text),
    "url": lambda client, text: client.client_credentials().get("https://a.example/?" + text),
    "Client.from_json": lambda _, text: oauth_core.Client.from_json('{"client_secret": "' + text + '"}'),
    "verify": lambda client, text: oauth_core.AccessTokenVerifier(client.server, audience="a").verify(text),
}


@pytest.mark.parametrize("name", TEXTS)
def test_an_error_for_a_secret_with_a_lone_surrogate_does_not_show_it(client: oauth_core.Client, name: str) -> None:
    # Like os.environ, which may contain bytes that are not UTF-8.
    with pytest.raises(ValueError, match="lone surrogate") as caught:
        TEXTS[name](client, SURROGATE)
    error: BaseException | None = caught.value
    while error is not None:
        shown = (repr(error), str(error), repr(error.args), repr(vars(error)), repr(getattr(error, "object", "")))
        assert "topsecret" not in "".join(shown), type(error)
        error = error.__cause__ or error.__context__


def test_empty_values_are_rejected(client: oauth_core.Client) -> None:
    empties: dict[str, Any] = {
        "path must not be empty": lambda: stores.FileStore(""),
        "path must not be empty ": lambda: stores.SqliteStore(""),
        "in_flight_per_origin must be at least 1": lambda: oauth_core.Network(in_flight_per_origin=0),
        "it must not be empty": lambda: client.source(store=stores.MemoryStore(), subject=""),
        "client_secret must not be empty": lambda: oauth_core.Client(client.server, client_id="c", client_secret=""),
        "audience must contain at least one identifier": lambda: oauth_core.AccessTokenVerifier(
            client.server, audience=""
        ),
    }
    for message, call in empties.items():
        with pytest.raises((ValueError, oauth_core.MisuseError), match=message.strip()):
            call()


def test_a_str_is_rejected_where_a_list_or_bytes_are_expected(client: oauth_core.Client) -> None:
    source, text = client.client_credentials(), "https://api.example"
    calls: dict[str, Any] = {
        "content": lambda: source.post(text, content=cast(Any, "text"), origins=[text]),
        "origins": lambda: source.get(text, origins=text),
        "redirect_uris": lambda: oauth_core.Client(client.server, client_id="c", redirect_uris=text),
    }
    expected = {"origins": "must be a list of URLs"}
    for name, call in calls.items():
        with pytest.raises(TypeError, match=expected.get(name, "expected a list or bytes, not a string")):
            call()


def test_an_access_token_verifier_with_unusable_options_is_rejected(client: oauth_core.Client) -> None:
    for wrong in ({"audience": None}, {"algs": ["RS265"]}, {"algs": ["none"]}, {"profile": "azure"}):
        options: dict[str, Any] = {"audience": "api", **wrong}
        with pytest.raises((TypeError, oauth_core.MisuseError)):
            oauth_core.AccessTokenVerifier(client.server, **options)
    with pytest.raises(TypeError):
        oauth_core.AccessTokenVerifier.introspecting(client, audience=None)  # type: ignore[arg-type]
