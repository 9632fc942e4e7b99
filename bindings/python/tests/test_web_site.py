"""A site of a web application: its settings, request targets and hooks."""

from __future__ import annotations

import asyncio
import base64
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from conftest import Twin, approve, generic_client
from examples import web_settings
from web_checks import WHO, running

import oauth_core
from oauth_core.stores import MemoryStore, SqliteStore
from oauth_core.web import (
    ProviderQuery,
    Identity,
    Need,
    Provider,
    Refuse,
    Reply,
    Request,
    Site,
    User,
    asgi,
    wsgi,
)

KEY = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")
BASE = "http://127.0.0.1:8000"
PAGE = [("accept", "text/html")]


def site(client: oauth_core.Client, **settings: Any) -> Site:
    options: dict[str, Any] = {"base_url": BASE, "key": KEY, "transport": "loopback_http"}
    return Site(**{"providers": [Provider(client)], **options, **settings})


def make_request(target: str, *, method: str = "GET", headers: Any = PAGE) -> Request:
    return Request(method, "127.0.0.1:8000", target, headers)


@pytest.mark.parametrize("name", ["OAUTH_BASE_URL", "OAUTH_KEY", "OAUTH_CLIENT_ID", "OAUTH_ISSUER"])
def test_a_missing_variable_is_reported_with_its_name_at_startup(generic: Twin, name: str) -> None:
    environ = {key: value for key, value in web_settings(generic).items() if key != name}
    with pytest.raises(oauth_core.MisuseError, match=name) as caught:
        Site.from_env(environ=environ, transport="loopback_http")
    assert caught.value.code == "environment.missing"
    assert generic.data["client_secret"] not in str(caught.value)


def test_each_variable_may_be_replaced_by_an_argument(generic: Twin, tmp_path: Path) -> None:
    environ = {**web_settings(generic), "OAUTH_STORE": f"sqlite://{tmp_path}/sessions.sqlite3"}
    assert Site.from_env(environ=environ, transport="loopback_http")
    assert (tmp_path / "sessions.sqlite3").exists()
    del environ["OAUTH_KEY"], environ["OAUTH_STORE"]
    assert Site.from_env(environ=environ, transport="loopback_http", key=KEY, store=MemoryStore())
    environ["OAUTH_STORE"] = "mongodb://user:S3CR3T@db.example"
    with pytest.raises(oauth_core.MisuseError, match="OAUTH_STORE") as caught:
        Site.from_env(environ=environ, transport="loopback_http", key=KEY)
    assert "S3CR3T" not in str(caught.value)


def test_insecure_or_inconsistent_settings_are_rejected(client: oauth_core.Client) -> None:
    for settings, code in (
        ({"base_url": "http://shop.example"}, "url.insecure"),
        ({"transport": "https"}, "url.insecure"),
        ({"providers": [Provider(client, scope="profile")]}, "web.setup"),
        ({"providers": [Provider(client), Provider(client)]}, "web.setup"),
        ({"idle": 60.0}, "web.setup"),
        ({"key": "short"}, "key.sealing"),
    ):
        with pytest.raises(oauth_core.MisuseError) as caught:
            site(client, **settings)
        assert caught.value.code == code, settings
    for keep, store in (("store", None), ("access_token", MemoryStore())):
        with pytest.raises(oauth_core.MisuseError, match="keep"):
            site(client, keep=keep, store=store)
    with pytest.raises(oauth_core.MisuseError, match="offline_access"):
        site(client, keep="access_token", providers=[Provider(client, scope="openid offline_access")])


def test_a_wrong_type_error_contains_the_name_of_the_setting_and_not_the_value(client: oauth_core.Client) -> None:
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"keep": "t0kens"}, 'keep: expected one of "identity", "access_token", "store"'),
        ({"same_site": "n0ne"}, 'same_site: expected one of "lax", "strict"'),
        ({"lookup": "n0ne"}, "lookup: expected one of"),
        ({"lifetime": -1}, "lifetime: expected a positive time span"),
        ({"flows": 1.5}, "flows: expected an integer"),
        ({"name": 5}, "name: expected a string"),
        ({"claims": ["name", 5]}, "claims: expected a list of strings"),
        ({"claims": "name"}, "claims must be a list"),
        ({"api": {"mail": ("https://mail.example", ["n0 method"])}}, "api: expected APIs by their names"),
        ({"providers": []}, "providers: expected at least one provider"),
        ({"providers": "login"}, "providers must be a list"),
        ({"redirect": "/n0ne"}, "redirect"),
    )
    for settings, text in wrong:
        with pytest.raises(TypeError, match=text) as caught:
            site(client, **settings)
        assert "n0" not in str(caught.value) and "t0" not in str(caught.value), settings
    for name, settings in (("base_url", {"base_url": "n0ne"}), ("return_origins", {"return_origins": ["n0ne"]})):
        with pytest.raises(oauth_core.MisuseError, match=name):
            site(client, **settings)
    with pytest.raises(TypeError, match="response_mode: expected one of"):
        Provider(client, response_mode=cast(Any, "n0ne"))
    assert site(client, lifetime=float("inf"), flow_lifetime=1.5)


def test_an_identity_endpoint_replaces_the_openid_scope(client: oauth_core.Client) -> None:
    endpoint = {"url": f"{BASE}/user", "subject": "id", "claims": {"name": "login"}}
    # The scope openid is not requested; a configured one is rejected.
    assert site(client, providers=[Provider(client, identity=endpoint)])
    with pytest.raises(oauth_core.MisuseError, match="openid, or an identity endpoint"):
        site(client, providers=[Provider(client, identity=endpoint, scope="openid")])
    with pytest.raises(TypeError, match="url, subject and claims"):
        Provider(client, identity={**endpoint, "title": "name"})


class ThreeVerbs:
    """A custom store: three methods, and ``until`` if it is needed."""

    def __init__(self) -> None:
        self.records: dict[str, tuple[int, str]] = {}
        self.ends: list[Any] = []

    def load(self, key: str, /) -> tuple[int, str] | None:
        return self.records.get(key)

    def save(self, key: str, record: str, version: int, /, until: Any = None) -> int | None:
        if self.records.get(key, (0, ""))[0] != version:
            return None
        self.ends.append(until)
        self.records[key] = (version + 1, record)
        return version + 1

    def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
        return None


def test_a_store_with_three_methods_keeps_sessions_and_gets_their_end(
    generic: Twin, client: oauth_core.Client
) -> None:
    generic.register(f"{BASE}/auth/callback")
    store = ThreeVerbs()
    web = site(client, store=store, providers=[Provider(client, scope="openid read")])
    cookie, user = sign_in(web)
    assert set(store.ends) == {user.until}, "the record, the grant, and the person's list"
    assert user.started_at < user.until and set(user.scope) == {"openid", "read"} and user.sid is None
    tokens = user.token()
    assert tokens.access_token == asyncio.run(user.atoken()).access_token
    web.end(user)
    assert web.visit(make_request("/", headers=[*PAGE, ("cookie", cookie)])) is None
    assert [record for _, record in store.records.values()] == [""] * 3


def sign_in(web: Site, target: str = "/me", need: Need = Need()) -> tuple[str, User]:
    """Logs a user in, and returns the cookie and the user."""
    callback, cookies = signed_in(web.visit(make_request(target), "signed_in", need))
    done = web.visit(make_request(callback, headers=[*PAGE, ("cookie", cookies)]))
    assert isinstance(done, Reply)
    assert done.status == 303, done.body
    cookie = "; ".join(pair.split(";")[0] for name, pair in done.headers if name == "set-cookie")
    user = web.visit(make_request(target, headers=[*PAGE, ("cookie", cookie)]), "signed_in", need)
    assert isinstance(user, User), user
    return cookie, user


def test_the_access_token_is_sealed_in_the_cookie_and_no_refresh_token_is_kept(
    generic: Twin, client: oauth_core.Client
) -> None:
    generic.register(f"{BASE}/auth/callback")
    web = site(client, keep="access_token", providers=[Provider(client, scope="openid read")])
    cookie, user = sign_in(web)
    assert user.session.grant is None and user.session.tokens is not None
    assert user.session.tokens.refresh_token is None
    assert user.session.tokens.access_token not in cookie + repr(user.session)
    assert user.fetch(f"{generic.base}/api/echo", origins=[generic.base]).status == 200
    # A URL alone allows nothing: it may be another user's.
    for url in (f"{generic.base}/api/echo", "https://elsewhere.example/"):
        with pytest.raises(oauth_core.MisuseError) as caught:
            user.fetch(url)
        assert caught.value.code == "resource.origin_not_allowed"
        with pytest.raises(oauth_core.MisuseError) as caught:
            asyncio.run(user.afetch(url))
        assert caught.value.code == "resource.origin_not_allowed"
    with pytest.raises(oauth_core.MisuseError, match="store"):
        _ = user.source


def test_an_ended_grant_ends_the_session(generic: Twin, client: oauth_core.Client) -> None:
    generic.register(f"{BASE}/auth/callback")
    scope = "openid read offline_access"
    web = site(client, store=MemoryStore(), providers=[Provider(client, scope=scope)])
    cookie, user = sign_in(web)
    headers = [*PAGE, ("cookie", cookie)]
    assert user.fetch(f"{generic.base}/api/echo", origins=[generic.base]).status == 200
    assert isinstance(web.visit(make_request("/", headers=headers)), User)
    generic.revoke()
    with pytest.raises(oauth_core.OAuthError) as caught:
        user.fetch(f"{generic.base}/api/echo", origins=[generic.base])
    assert caught.value.advice == "reauthorize"
    assert web.visit(make_request("/", headers=headers)) is None

    async def once_more() -> None:
        cookie, user = sign_in(web)
        generic.revoke()
        with pytest.raises(oauth_core.OAuthError):
            await user.afetch(f"{generic.base}/api/echo", origins=[generic.base])
        headers = [*PAGE, ("cookie", cookie)]
        assert await web.avisit(make_request("/", headers=headers)) is None

    asyncio.run(once_more())


def test_tenants_are_looked_up_while_the_site_runs(generic: Twin, client: oauth_core.Client) -> None:
    store = MemoryStore()
    web = site(client, providers=[], lookup="asked", store=store)
    tenants: dict[str, Provider] = {}
    provider_queries: list[ProviderQuery] = []

    @web.provider
    def provider(ask: ProviderQuery) -> Provider | None:
        provider_queries.append(ask)
        return tenants.get(ask.id or ask.tenant or ask.path.split("/")[2])

    for name in ("acme", "globex"):
        generic.register(f"{BASE}/auth/callback/{name}")
        tenants[name] = Provider(client, id=name, scope="openid read", tenant=name)
    acme, globex = Need(tenant="acme"), Need(tenant="globex")
    cookie, user = sign_in(web, "/t/acme/me", acme)
    assert user.tenant == "acme" and user.provider == "acme"
    assert {(ask.id, ask.tenant) for ask in provider_queries} == {(None, "acme"), ("acme", None)}
    assert user.source.token().access_token
    # Another process has the session, but not the provider yet.
    elsewhere = site(client, providers=[], lookup="asked", store=store)
    elsewhere.provider(provider)
    assert elsewhere.sessions("acme") and elsewhere.sessions("acme") is elsewhere.sessions("acme")
    with pytest.raises(oauth_core.MisuseError, match="no provider with this id"):
        elsewhere.sessions("initech")
    # The page of another tenant requires a login there.
    other = make_request("/t/globex/me", headers=[*PAGE, ("cookie", cookie)])
    sent = web.visit(other, "signed_in", globex)
    assert isinstance(sent, Reply) and "callback%2Fglobex" in dict(sent.headers)["location"]
    # Without a required tenant, the path determines it; it may be unknown.
    sent = web.visit(make_request("/t/globex/"), "signed_in")
    assert isinstance(sent, Reply) and "callback%2Fglobex" in dict(sent.headers)["location"]
    sent = web.visit(make_request("/t/initech/"), "signed_in")
    assert isinstance(sent, Reply) and "/auth/login" in dict(sent.headers)["location"]


def test_sessions_of_old_keys_are_accepted_while_the_keys_are_configured(generic: Twin) -> None:
    environ = {**web_settings(generic), "OAUTH_KEY": f"{KEY}"}
    generic.register(f"{environ['OAUTH_BASE_URL']}/auth/callback")
    old = Site.from_env(environ=environ, transport="loopback_http")
    cookie = cookie_of(old, environ["OAUTH_BASE_URL"])
    new = base64.urlsafe_b64encode(b"n" * 32).decode().rstrip("=")
    for text, is_open in ((f"{new}, {KEY}", True), (f"{new} {KEY}", True), (new, False)):
        environ["OAUTH_KEY"] = text
        web = Site.from_env(environ=environ, transport="loopback_http")
        request = Request("GET", "shop.example", "/", [*PAGE, ("cookie", cookie)])
        assert isinstance(web.visit(request), User) is is_open


def cookie_of(web: Site, base: str) -> str:
    request = Request("GET", "shop.example", "/me", PAGE)
    sent = web.visit(request, "signed_in")
    assert isinstance(sent, Reply)
    flows = "; ".join(pair.split(";")[0] for name, pair in sent.headers if name == "set-cookie")
    callback = approve(dict(sent.headers)["location"]).removeprefix(base)
    done = web.visit(Request("GET", "shop.example", callback, [*PAGE, ("cookie", flows)]))
    assert isinstance(done, Reply)
    assert done.status == 303, done.body
    return "; ".join(pair.split(";")[0] for name, pair in done.headers if name == "set-cookie")


def test_a_coroutine_hook_runs_in_the_event_loop_of_the_request(
    generic: Twin, client: oauth_core.Client
) -> None:
    generic.register(f"{BASE}/auth/callback")
    web = site(client)
    loops: list[Any] = []

    @web.admit
    async def admit(identity: Identity) -> dict[str, Any]:
        loops.append(asyncio.get_running_loop())
        assert identity.subject == WHO and identity.issuer == generic.base
        return {"seats": [1, 2]}

    async def sign_in() -> User:
        user = signed_in(await web.avisit(make_request("/me"), "signed_in"))
        callback, cookies = user
        done = await web.avisit(make_request(callback, headers=[*PAGE, ("cookie", cookies)]))
        assert isinstance(done, Reply) and done.status == 303, done
        cookie = "; ".join(pair.split(";")[0] for name, pair in done.headers if name == "set-cookie")
        passed = await web.avisit(make_request("/me", headers=[*PAGE, ("cookie", cookie)]), "signed_in")
        assert loops == [asyncio.get_running_loop()]
        assert isinstance(passed, User)
        return passed

    user = asyncio.run(sign_in())
    assert user.local == {"seats": [1, 2]} and user.subject == WHO
    assert user.name and WHO not in repr(user) + repr(user.session) + repr(user.identity)
    with pytest.raises(oauth_core.MisuseError, match="store"):
        user.fetch("https://api.example/")


def signed_in(ended: Any) -> tuple[str, str]:
    """The callback of a user who approves immediately, with the cookies of the browser."""
    assert isinstance(ended, Reply) and ended.status == 303, ended
    headers = dict(ended.headers)
    cookies = "; ".join(pair.split(";")[0] for name, pair in ended.headers if name == "set-cookie")
    return approve(headers["location"]).removeprefix(BASE), cookies


def test_a_hook_may_return_a_refusal(generic: Twin, client: oauth_core.Client) -> None:
    generic.register(f"{BASE}/auth/callback")
    web = site(client)
    web.admit(lambda _: Refuse("Come back on Monday."))
    callback, cookies = signed_in(web.visit(make_request("/me"), "signed_in"))
    done = web.visit(make_request(callback, headers=[*PAGE, ("cookie", cookies)]))
    assert isinstance(done, Reply) and done.status == 403
    assert done.problem and done.problem.detail == "Come back on Monday."
    assert b"Come back on Monday." in done.body


def test_an_exception_of_a_hook_is_raised_by_the_request(generic: Twin, client: oauth_core.Client) -> None:
    generic.register(f"{BASE}/auth/callback")
    web = site(client)

    @web.admit
    def admit(_: Identity) -> dict[str, Any]:
        raise LookupError("the database is away")

    callback, cookies = signed_in(web.visit(make_request("/me"), "signed_in"))
    with pytest.raises(LookupError, match="away"):
        web.visit(make_request(callback, headers=[*PAGE, ("cookie", cookies)]))


def test_the_log_contains_details_that_the_page_omits(
    client: oauth_core.Client, caplog: pytest.LogCaptureFixture
) -> None:
    web = site(client)
    with caplog.at_level(logging.INFO, logger="oauth_core"):
        web.visit(make_request("/auth/login?return_to=https://evil.example/"))
    assert "return_to.refused" in caplog.text and "evil" not in caplog.text


def test_an_unauthenticated_script_gets_401_for_a_step_up(client: oauth_core.Client) -> None:
    web = site(client)
    reply = web.visit(make_request("/pay", headers=[]), "signed_in", Need(acr=["mfa"], max_age=60))
    assert isinstance(reply, Reply) and reply.status == 401
    assert reply.problem is None and b"web.signed_out" in reply.body
    for access in ("nobody", ""):
        with pytest.raises(ValueError, match="access"):
            web.visit(make_request("/"), access)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scope", "target"),
    [
        ({"path": "/a b", "raw_path": b"/a%20b", "query_string": b"x=%26"}, "/a%20b?x=%26"),
        ({"path": "/a b/é", "query_string": b""}, "/a%20b/%C3%A9"),
        # What some servers have there, against the specification.
        ({"path": "/a", "raw_path": b"/a?x=1", "query_string": b"x=1"}, "/a?x=1"),
        ({"path": "/shop/a", "raw_path": b"/shop/a", "root_path": "/shop"}, "/shop/a"),
        ({"path": "/a", "raw_path": b"/a", "root_path": "/shop"}, "/shop/a"),
        ({"path": "/shopping", "raw_path": b"/shopping", "root_path": "/shop"}, "/shop/shopping"),
        ({"path": "/", "raw_path": b"/", "root_path": "/"}, "/"),
    ],
)
def test_asgi_targets_are_those_of_the_browser(scope: dict[str, Any], target: str) -> None:
    assert asgi.target_from(scope) == target


@pytest.mark.parametrize(
    ("environ", "target"),
    [
        ({"PATH_INFO": "/a b/\u00c3\u00a9", "QUERY_STRING": "x=%26"}, "/a%20b/%C3%A9?x=%26"),
        ({"RAW_URI": "/a%2Fb?x=1", "PATH_INFO": "/a/b", "QUERY_STRING": "x=1"}, "/a%2Fb?x=1"),
        ({"REQUEST_URI": "http://shop.example/a?x=1"}, "/a?x=1"),
        ({"SCRIPT_NAME": "/shop", "PATH_INFO": "/a"}, "/shop/a"),
        ({"SCRIPT_NAME": "/shop", "RAW_URI": "/shop/a"}, "/shop/a"),
        ({"SCRIPT_NAME": "/shop", "RAW_URI": "/a"}, "/shop/a"),
    ],
)
def test_wsgi_targets_are_those_of_the_browser(environ: dict[str, Any], target: str) -> None:
    assert wsgi.target_from(environ) == target


def test_frameworks_are_imported_only_on_demand(tmp_path: Path) -> None:
    code = (
        "import sys, oauth_core, oauth_core.web, oauth_core.web.asgi, oauth_core.web.wsgi\n"
        "print([name for name in ('starlette', 'fastapi', 'flask', 'django') if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_django_signals_are_sent_and_inactive_users_are_rejected(generic: Twin, tmp_path: Path) -> None:
    with running("django-gunicorn", generic, tmp_path, False) as app:
        with app.browser() as ann:
            ann.get("/me")
            assert ann.get("/signals").text == "in"
            ann.post("/auth/logout", headers={"origin": app.base})
            assert ann.get("/signals").text == "in out"
        with app.browser() as again:
            again.get("/me")
            # One user after several logins.
            assert again.get("/disable/0").text == "1"
            assert again.get("/").text == "Hello, stranger"
            refused = again.get("/me")
            assert refused.status_code == 403 and "not active" in refused.text
            assert again.get("/disable/1").text == "1"
            assert again.get("/me").text == f"{WHO} has 3"


def test_a_store_is_shared_by_workers(generic: Twin, tmp_path: Path) -> None:
    generic.register(f"{BASE}/auth/callback")
    client = generic_client(generic)
    first, second = (
        site(client, store=SqliteStore(tmp_path / "sessions.sqlite3")) for _ in range(2)
    )
    callback, cookies = signed_in(first.visit(make_request("/me"), "signed_in"))
    done = second.visit(make_request(callback, headers=[*PAGE, ("cookie", cookies)]))
    assert isinstance(done, Reply) and done.status == 303
    cookie = "; ".join(pair.split(";")[0] for name, pair in done.headers if name == "set-cookie")
    user = first.visit(make_request("/me", headers=[*PAGE, ("cookie", cookie)]), "signed_in")
    assert isinstance(user, User) and user.source.token().access_token
    out = second.visit(
        make_request("/auth/logout", method="POST", headers=[("cookie", cookie), ("origin", BASE)])
    )
    assert isinstance(out, Reply) and out.signed_out and out.signed_out.subject == WHO
    assert first.visit(make_request("/me", headers=[("cookie", cookie)])) is None


@pytest.mark.parametrize(
    ("origin", "told"), [(BASE, "websocket.accept"), ("https://evil.example", "websocket.close")]
)
def test_a_web_socket_of_another_site_is_rejected(
    client: oauth_core.Client, origin: str, told: str
) -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        assert asgi.user(scope) is None
        await send({"type": "websocket.accept"})

    heard: list[str] = []

    async def send(message: Any) -> None:
        heard.append(message["type"])

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    # It is checked like a form: without a session it is rejected.
    headers = [(b"host", b"127.0.0.1:8000"), (b"origin", origin.encode()), (b"cookie", b"oauth-session=x")]
    scope = {"type": "websocket", "path": "/live", "headers": headers}
    asyncio.run(asgi.SignIn(echo, site(client))(scope, receive, send))
    assert heard == [told]
