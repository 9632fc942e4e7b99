"""UserInfo at sign-in, the signed_out hook, and revocation of unused tokens."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from urllib.parse import urlencode

import pytest
from conftest import Twin, approve
from examples import web_settings
from web_checks import WHO

import oauth_core
from oauth_core.stores import MemoryStore
from oauth_core.web import Identity, Provider, ProviderQuery, Refuse, Reply, Request, Site, User

KEY = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")
BASE = "http://127.0.0.1:8000"
FORM = [("content-type", "application/x-www-form-urlencoded")]


def make_request(target: str, cookie: str = "", method: str = "GET", form: bytes | None = None) -> Request:
    origin = [("origin", BASE)] if method == "POST" and form is None else []
    headers = [("accept", "text/html"), ("cookie", cookie), *origin, *(FORM if form else [])]
    return Request(method, "127.0.0.1:8000", target, headers, form)


def read_cookies(reply: Reply) -> str:
    set_cookies = [value for name, value in reply.headers if name == "set-cookie"]
    return "; ".join(value.split(";")[0] for value in set_cookies if "Max-Age=0" not in value)


def visit(web: Site, target: str = "/me") -> Reply:
    """The response to the callback of a user who approves immediately."""
    begun = web.visit(make_request(target), "signed_in")
    assert isinstance(begun, Reply) and begun.status == 303
    callback = approve(dict(begun.headers)["location"]).removeprefix(BASE)
    done = web.visit(make_request(callback, read_cookies(begun)))
    assert isinstance(done, Reply)
    return done


def signed_in(web: Site, target: str = "/me") -> tuple[str, User]:
    cookie = read_cookies(visit(web, target))
    user = web.visit(make_request(target, cookie), "signed_in")
    assert isinstance(user, User), user
    return cookie, user


def site(client: oauth_core.Client, provider: dict[str, Any], **settings: Any) -> Site:
    return Site(providers=[Provider(client, **provider)], base_url=BASE, key=KEY, transport="loopback_http", **settings)


def test_a_name_and_email_missing_in_the_id_token_are_taken_from_userinfo(generic: Twin, client: oauth_core.Client) -> None:
    generic.register(f"{BASE}/auth/callback")
    _, user = signed_in(site(client, {}))
    assert (user.name, user.email) == ("Alice Liddell", "alice@twin.example")
    _, user = signed_in(site(client, {"userinfo": "never"}))
    assert (user.name, user.email) == (WHO, None)
    with pytest.raises(TypeError, match='userinfo: expected one of "never", "when_missing"'):
        Provider(client, userinfo="alw4ys")  # type: ignore[arg-type]


def test_oauth_userinfo_sets_the_userinfo_option(generic: Twin) -> None:
    environ = web_settings(generic)
    base = environ["OAUTH_BASE_URL"]
    generic.register(f"{base}/auth/callback")

    def name(**options: Any) -> str:
        web = Site.from_env(environ={**environ, **options.pop("variables", {})}, transport="loopback_http", **options)
        host = base.partition("://")[2]
        begun = web.visit(Request("GET", host, "/me", [("accept", "text/html")]), "signed_in")
        assert isinstance(begun, Reply) and begun.status == 303, begun
        callback = approve(dict(begun.headers)["location"]).removeprefix(base)
        done = web.visit(Request("GET", host, callback, [("accept", "text/html"), ("cookie", read_cookies(begun))]))
        assert isinstance(done, Reply) and done.status == 303, done
        user = web.visit(Request("GET", host, "/me", [("cookie", read_cookies(done))]))
        assert isinstance(user, User)
        return user.name

    assert name() == "Alice Liddell"
    assert name(variables={"OAUTH_USERINFO": "never"}) == WHO
    assert name(variables={"OAUTH_USERINFO": "never"}, userinfo="when_missing") == "Alice Liddell"
    assert name(userinfo="never") == WHO
    with pytest.raises(oauth_core.MisuseError, match="OAUTH_USERINFO") as caught:
        name(variables={"OAUTH_USERINFO": "alw4ys"})
    assert caught.value.code == "web.setup" and "alw4ys" not in str(caught.value)


def test_userinfo_about_another_user_fails_the_sign_in(generic: Twin, client: oauth_core.Client) -> None:
    generic.register(f"{BASE}/auth/callback")
    revoked = generic.counters["revocations"]
    generic.claim("sub", "another")
    try:
        reply = visit(site(client, {}))
    finally:
        generic.claim("sub", WHO)
    assert reply.status == 400 and reply.problem and reply.problem.code == "userinfo.subject"
    assert generic.counters["revocations"] == revoked + 1


def test_the_tokens_of_a_rejected_user_are_revoked(generic: Twin, client: oauth_core.Client) -> None:
    generic.register(f"{BASE}/auth/callback")
    web = site(client, {})
    web.admit(lambda _: Refuse("Only staff."))
    revoked = generic.counters["revocations"]
    reply = visit(web)
    assert reply.status == 403 and b"Only staff." in reply.body
    assert generic.counters["revocations"] == revoked + 1
    call = next(call for call in reversed(generic.log) if call["path"] == "/revoke")
    assert dict(call["form"])["token_type_hint"] == "refresh_token"


def test_the_application_is_notified_which_user_of_a_tenant_was_signed_out(generic: Twin, client: oauth_core.Client) -> None:
    generic.register(f"{BASE}/auth/callback/acme")
    tenant = Provider(client, id="acme", scope="openid read", tenant="acme", logout_max_age_without_expiry=300)
    web = Site(
        providers=[], lookup="asked", base_url=BASE, key=KEY, transport="loopback_http", store=MemoryStore()
    )
    signed_out_users: list[tuple[str, str]] = []

    @web.provider
    def provider(query: ProviderQuery) -> Provider:
        return tenant

    @web.signed_out
    def signed_out(identity: Identity) -> None:
        signed_out_users.append((identity.subject, identity.provider))

    def take_signed_out() -> list[tuple[str, str]]:
        last = list(signed_out_users)
        signed_out_users.clear()
        return last

    def announced(flaw: str | None = None) -> int:
        form = urlencode({"logout_token": generic.logout_token(flaw)}).encode()
        reply = web.visit(make_request("/auth/backchannel-logout/acme", method="POST", form=form))
        assert isinstance(reply, Reply)
        return reply.status

    generic.claim("sid", "one")
    try:
        cookie, _ = signed_in(web)
        web.visit(make_request("/auth/logout", cookie, "POST"))
        assert take_signed_out() == [(WHO, "acme")]
        web.visit(make_request("/auth/logout", cookie, "POST"))
        assert take_signed_out() == []
        # Once, no matter how many sessions end; and also for a token without exp, as the provider is allowed to send
        # it.
        for flaw in (None, "missing_expiry"):
            signed_in(web)
            cookie, _ = signed_in(web)
            assert (announced(flaw), take_signed_out()) == (200, [(WHO, "acme")])
            assert web.visit(make_request("/me", cookie)) is None
            assert (announced(flaw), take_signed_out()) == (200, [])
        cookie, _ = signed_in(web)
        frame = urlencode({"iss": generic.base, "sid": "one"})
        web.visit(make_request(f"/auth/frontchannel-logout/acme?{frame}"))
        assert take_signed_out() == [(WHO, "acme")]
        assert web.visit(make_request("/me", cookie)) is None

        async def later(identity: Identity) -> None:
            await asyncio.sleep(0)
            signed_out_users.append((identity.subject, "later"))

        web.signed_out(later)
        cookie, _ = signed_in(web)
        asyncio.run(web.avisit(make_request("/auth/logout", cookie, "POST")))
        assert take_signed_out() == [(WHO, "later")]
    finally:
        generic.claim("sid", None)


def test_a_logout_token_without_expiry_is_rejected_unless_allowed(
    generic: Twin, client: oauth_core.Client
) -> None:
    generic.register(f"{BASE}/auth/callback")
    web = site(client, {}, store=MemoryStore())
    cookie, _ = signed_in(web)
    form = urlencode({"logout_token": generic.logout_token("missing_expiry")}).encode()
    reply = web.visit(make_request("/auth/backchannel-logout", method="POST", form=form))
    assert isinstance(reply, Reply) and reply.status == 400 and b"jwt.missing_claim" in reply.body
    assert isinstance(web.visit(make_request("/me", cookie)), User)
    for wrong in (0, -1, float("nan")):
        with pytest.raises(TypeError, match="logout_max_age_without_expiry: expected a positive time span"):
            Provider(client, logout_max_age_without_expiry=wrong)
