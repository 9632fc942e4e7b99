"""The presets as in tests/presets.json, the same in every language."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import CALLBACK, ROOT

import oauth_core

PRESETS: list[dict[str, Any]] = json.loads((ROOT / "tests/presets.json").read_text())


def test_the_presets_are_those_of_presets_json() -> None:
    with pytest.raises(oauth_core.MisuseError) as caught:
        oauth_core.provider("none of them")
    assert caught.value.code == "provider.unknown"
    assert set(oauth_core.providers()) == {preset["name"] for preset in PRESETS}
    assert len(oauth_core.providers()) == len(PRESETS)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: str(preset["name"]))
def test_every_preset_uses_its_own_endpoints(preset: dict[str, Any]) -> None:
    server = oauth_core.provider(preset["name"], **preset["variables"])
    assert server.issuer == preset["issuer"]
    client = oauth_core.Client(server, client_id="id", client_secret="secret", redirect_uris=[CALLBACK])
    url = client.authorize(redirect_uri=CALLBACK).url
    assert url.startswith(preset["authorization_endpoint"] + "?")
    if preset["public"]:
        oauth_core.Client(server, client_id="id")
    else:
        with pytest.raises(oauth_core.MisuseError) as caught:
            oauth_core.Client(server, client_id="id")
        assert caught.value.code == "client_auth.required"
