"""Logout without a site: the logout form, and front-channel logout requests."""

from __future__ import annotations

from typing import Any

import pytest

import oauth_core

ISSUER = "https://as.example"
METADATA = {"issuer": ISSUER, "end_session_endpoint": f"{ISSUER}/logout?tenant=a&b=1"}


def client() -> oauth_core.Client:
    return oauth_core.Client(oauth_core.Server.from_metadata(ISSUER, METADATA), client_id="id")


def test_a_logout_form_contains_the_parameters_escaped() -> None:
    form = client().end_session_form(
        id_token_hint="a.b.c",
        logout_hint='"><script>',
        post_logout_redirect_uri="https://rp.example/bye",
        state="s",
        ui_locales="de en",
    )
    assert isinstance(form, oauth_core.LogoutForm)
    assert form.action == METADATA["end_session_endpoint"]
    assert form.fields == {
        "id_token_hint": "a.b.c",
        "logout_hint": '"><script>',
        "client_id": "id",
        "post_logout_redirect_uri": "https://rp.example/bye",
        "state": "s",
        "ui_locales": "de en",
    }
    assert 'action="https://as.example/logout?tenant=a&amp;b=1"' in form.html
    assert 'name="logout_hint" value="&quot;&gt;&lt;script&gt;"' in form.html
    assert "script-src 'sha256-" in form.content_security_policy
    assert "a.b.c" not in repr(form)
    with pytest.raises(oauth_core.MisuseError) as raised:
        client().end_session_form(post_logout_redirect_uri="http://rp.example/bye")
    assert raised.value.code == "redirect_uri.refused"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://rp.example/bye?state=s1", None),
        ("state=s1&x=1", None),
        ("https://rp.example/bye?state=s2", "logout.state"),
        ("https://rp.example/bye", "logout.state"),
        ("https://rp.example/bye?state=s1&state=s1", "logout.malformed"),
    ],
)
def test_a_return_from_a_logout_is_recognized_by_its_state(url: str, code: str | None) -> None:
    try:
        oauth_core.check_logout_return(url, state="s1")
        seen = None
    except oauth_core.OAuthError as error:
        seen = error.code
        assert "s1" not in str(error)
    assert seen == code


@pytest.mark.parametrize(
    ("url", "ends"),
    [
        ("https://rp.example/fc?iss=https%3A%2F%2Fas.example&sid=s", True),
        ("iss=https://as.example&sid=t", False),
        ("iss=https://other.example&sid=s", False),
        ("https://rp.example/fc", True),
    ],
)
def test_a_front_channel_logout_ends_the_session_with_its_issuer_and_sid(
    url: str, ends: bool
) -> None:
    request = oauth_core.FrontChannelLogout(url)
    assert request.ends(issuer=ISSUER, sid="s") is ends
    # A session of which the server gave no name is never the one that is named.
    assert request.ends(issuer=ISSUER) is ("iss" not in url)


@pytest.mark.parametrize("url", ["sid=s", "iss=https://as.example", "sid=s&sid=s&iss=a", 7, "?sid=%ff"])
def test_a_malformed_front_channel_logout_is_rejected(url: Any) -> None:
    with pytest.raises((oauth_core.MalformedError, TypeError)) as raised:
        oauth_core.FrontChannelLogout(url)
    if isinstance(raised.value, oauth_core.OAuthError):
        assert raised.value.code == "logout.malformed"
