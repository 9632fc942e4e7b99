"""What users get wrong at first, and what they are told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import CALLBACK

import oauth_core
import oauth_core.httpx

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


def test_nothing_is_printed_where_no_logging_is_configured(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NOBODY, str(tmp_path / "grants")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    # And it says what is the matter.
    assert done.stdout.startswith("grant.no_refresh_token ") and "nobody has logged in" in done.stdout


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
def test_a_wrong_type_names_its_argument(client: oauth_core.Client) -> None:
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
        assert any(f"'{name}'" in note for note in caught.value.__notes__), name


def test_what_is_not_set_is_not_taken(client: oauth_core.Client, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="client_id is missing, or None"):
        oauth_core.Client(client.server, client_id=None, client_secret="b")  # type: ignore[call-overload]
    with pytest.raises(oauth_core.Misuse) as caught:
        oauth_core.fixed_token("", origins=["https://api.example"])
    assert caught.value.code == "token.unreadable"
    with pytest.raises(oauth_core.Misuse, match="nowhere.json") as caught:
        oauth_core.Client.from_file(tmp_path / "nowhere.json")
    assert caught.value.code == "client_file.unreadable" and caught.value.__cause__ is not None


def test_where_origins_are_named(client: oauth_core.Client) -> None:
    with pytest.raises(oauth_core.Misuse, match="`origins`") as caught:
        client.client_credentials().get("https://api.example/")
    assert caught.value.code == "resource.origin_not_allowed" and "`origins`" in (caught.value.hint or "")
    with pytest.raises(TypeError, match="origins is a list"):
        oauth_core.httpx.Auth(client.client_credentials(), origins="https://api.example")
