"""How the package is used, for the type checkers; nothing here runs."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import Any

import aiohttp
import httpx
import httpx2
import requests
from typing_extensions import assert_type

import oauth_core
import oauth_core.aiohttp
import oauth_core.httpx
import oauth_core.httpx2
import oauth_core.requests
import oauth_core.web
from oauth_core import drive, stores
from oauth_core.errors import Advice, DeniedCode, ErrorCode


class Payment(oauth_core.AuthorizationDetail):
    amount: str


def permissions(client: oauth_core.Client, tokens: oauth_core.Tokens) -> None:
    """Permissions in detail: of the general type, of a type of one's own, and plain dicts."""
    read: oauth_core.AuthorizationDetail = {"type": "accounts", "actions": ["read"], "locations": ["https://api.example"]}
    payment: Payment = {"type": "payment", "amount": "12.50"}
    plain = {"type": "other", "depth": 3}
    client.authorize(redirect_uri="https://app.example/", authorization_details=[read, payment, plain])
    granted = tokens.authorization_details
    assert_type(granted, "list[oauth_core.AuthorizationDetail] | None")
    for detail in granted or []:
        assert_type((detail["type"], detail.get("actions")), "tuple[str, list[str] | None]")
        detail.get("amount")
    assert_type(tokens.missing_authorization_details([payment]), list[Payment])
    assert_type(tokens.missing_authorization_details(granted or []), list[oauth_core.AuthorizationDetail])
    tokens.missing_authorization_details([plain])
    wrong: oauth_core.AuthorizationDetail = {"type": "a", "actions": "b"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
    none: oauth_core.AuthorizationDetail = {"actions": ["b"]}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
    less: Payment = {"type": "payment"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
    print(wrong, none, less)


def person(client: oauth_core.Client, tokens: oauth_core.Tokens) -> None:
    """A person, with the types of the standard."""
    user = client.userinfo(tokens=tokens, subject="ann")
    assert_type(oauth_core.user_claims(tokens.claims or {}), oauth_core.UserClaims)
    assert_type((user.name, user.birthdate), "tuple[str | None, str | None]")
    assert_type((user.email_verified, user.phone_number_verified), "tuple[bool | None, bool | None]")
    assert_type(user.updated_at, "datetime | None")
    assert_type(user.address, "oauth_core.Address | None")
    if at := user.address:
        assert_type((at.formatted, at.street_address, at.locality), "tuple[str | None, str | None, str | None]")
        assert_type((at.region, at.postal_code, at.country), "tuple[str | None, str | None, str | None]")
        at.country = "DE"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    oauth_core.Address(street="1234 Hollywood Blvd.")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def claims(client: oauth_core.Client, tokens: oauth_core.Tokens, user: oauth_core.web.User) -> None:
    """All claims are dicts of anything, since servers add their own: user_claims() has the types of the standard."""
    assert_type(tokens.claims, "dict[str, Any] | None")
    assert_type(client.userinfo(tokens=tokens, subject="ann").claims, dict[str, Any])
    assert_type(client.verify_id_token(token="t", nonce="n").claims, dict[str, Any])
    assert_type(oauth_core.AccessTokenVerifier(client.server, audience="a").verify("t").claims, dict[str, Any])
    assert_type(user.claims, dict[str, Any])
    assert_type(oauth_core.user_claims(user.claims).email_verified, "bool | None")
    roles: list[str] = user.claims["roles"]
    print(roles, (tokens.claims or {})["sub"])


def blocking() -> None:
    server = oauth_core.provider("uservoice", subdomain="acme", options=["challenge_as_verifier"])
    assert_type(server.api_origins, tuple[str, ...])
    client = oauth_core.Client(server, client_id="id", client_secret="secret")
    public = oauth_core.Client(server, client_id="id", client_auth=oauth_core.Public(), timeout=5)
    flow = public.authorize(redirect_uri="https://app.example/", extra={"prompt": "login"})
    assert_type(flow.url, str)
    assert_type((flow.state, flow.recognizes("https://app.example/?code=x")), tuple[str, bool])
    assert_type(oauth_core.providers(), tuple[str, ...])
    tokens = public.redeem(flow, "https://app.example/?code=x")
    assert_type(tokens, oauth_core.Tokens)
    assert_type(tokens.expires_at, "datetime | None")
    assert_type(tokens.scope, frozenset[str])
    source = client.source(tokens, on_tokens=lambda new: print(new.issuer))
    assert_type(source.token().access_token, str)
    assert_type(source.get("https://api.example/", origins=["https://api.example"]).status, int)
    assert_type(client.revoke(token=tokens.access_token, token_type_hint="access_token"), None)
    state = client.introspect(token=tokens.access_token)
    assert_type(state, oauth_core.IntrospectionResponse)
    assert_type((state.active, state.expires_at), "tuple[bool, datetime | None]")
    state.active = False  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    client.introspect(token="t", token_type_hint="id_token")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.introspect("t")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.introspect(tokn="t")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(oauth_core.IntrospectionResponse(active=False), oauth_core.IntrospectionResponse)
    verifier = oauth_core.AccessTokenVerifier(server, audience="https://api.example", scope=["read"])
    assert_type(verifier.verify("t", jkt="k", max_age=60), oauth_core.VerifiedAccessToken)
    shown = verifier.verify_request(
        method="GET", url="https://api.example/", authorization=None, dpop=["p"], scope="read"
    )
    assert_type(shown.dpop_nonce, "str | None")
    assert_type(shown.dpop_forget_at, "datetime | None")
    assert_type(shown.dpop_replay_challenge, "str | None")
    oauth_core.AccessTokenVerifier(
        server, audience="a", dpop_max_age=30, dpop_nonce_key="k", dpop_replay="caller"
    )
    verifier.verify_request(method="GET", url="u", authorization=None, dpop=None, jkt="k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    introspecting_verifier = oauth_core.AccessTokenVerifier.introspecting(client, audience="https://api.example", cache_max_age=30)
    assert_type(introspecting_verifier.verify("t", scope="read"), oauth_core.VerifiedAccessToken)
    assert_type(client.verify_id_token(token="t", nonce="n").email_verified, "bool | None")
    client.verify_id_token(token="t", unexpected_nonce="none")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    oauth_core.AccessTokenVerifier(server, audience=["https://api.example", "api"], profile="jwt")
    assert_type(client.verify_logout_token(token="t").sid, "str | None")
    assert_type(client.end_session_url(state="s"), str)
    verifier.verify("t", scopes="read")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    oauth_core.AccessTokenVerifier.introspecting(client, audience="a", algs=["ES256"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(source.token(timeout=5).scope, frozenset[str])
    reply = source.post("https://api.example/", json={"a": [1]}, origins=["https://api.example"])
    assert_type(reply.raise_for_status(), oauth_core.Response)
    api = oauth_core.Api(source)
    assert_type([api.put("u", content=b""), api.patch("u"), api.delete("u")], list[oauth_core.Response])
    api.delete("u", content=b"")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.client_credentials(scope=["read", "write"])
    client.client_credentials(scope=tokens.scope)
    client.client_credentials(scope=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with client.client_credentials() as entered, oauth_core.Grants(client, stores.MemoryStore()) as grants:
        assert_type(entered, oauth_core.GrantSource)
        assert_type(grants, oauth_core.Grants)
    httpx.Client(auth=oauth_core.httpx.Auth(source))
    httpx2.Client(auth=oauth_core.httpx2.Auth(source, origins=["https://api.example"]))
    requests.get("https://api.example/", auth=oauth_core.requests.Auth(source), timeout=5)
    with httpx.Client() as http:
        assert_type(drive.run(client.exchange.client_credentials(), http), oauth_core.Tokens)
        assert_type(drive.run(client.exchange.introspect(token="t"), http), oauth_core.IntrospectionResponse)
        assert_type(drive.run(client.exchange.revoke(token="t"), http), None)
    with httpx2.Client() as http2:
        assert_type(drive.run(oauth_core.discover_exchange("https://a.example"), http2), oauth_core.Server)


def device_grants(client: oauth_core.Client) -> None:
    code = client.device_authorization(scope="openid", purpose="sign in")
    assert_type(code, oauth_core.DeviceAuthorizationResponse)
    assert_type(code.verification_uri_complete, "str | None")
    assert_type(code.qr_code, "str | None")
    login = client.poll_device_token(
        device_code=code.device_code, expires_at=code.expires_at, interval=code.interval, scope="openid"
    )
    assert_type(login, oauth_core.Tokens)
    client.poll_device_token(device_code="d")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    request = client.backchannel_authentication(login_hint="ann", token_delivery_mode="ping", scope="openid")
    assert_type(request, oauth_core.BackchannelAuthenticationResponse)
    client.backchannel_authentication(token_delivery_mode="pong")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    token = request.client_notification_token
    assert token is not None
    client.verify_ping(auth_req_id=request.auth_req_id, client_notification_token=token, body="{}")
    assert_type(client.poll_backchannel_token(auth_req_id=request.auth_req_id, scope=["openid"]), oauth_core.Tokens)
    exchanged = client.token_exchange(subject_token="t", subject_token_type="access_token", audience=["b"])
    assert_type(exchanged, oauth_core.Tokens)
    assert_type(client.jwt_bearer_with_key(key="k", issuer="i", claims={"a": 1}), oauth_core.Tokens)
    identity_assertion = client.request_identity_assertion(subject_token="t", issuer="https://as.example")
    assert_type(identity_assertion, oauth_core.IdentityAssertion)
    assert_type(client.redeem_identity_assertion(assertion=identity_assertion.assertion), oauth_core.Tokens)
    source = client.source(identity_provider=client, sign_in=client.source(), subject="ann", scope="read")
    assert_type(source, oauth_core.GrantSource)
    client.keeper(identity_provider=client, sign_in=lambda: "t", subject_token_type="saml2")
    with httpx.Client() as http:
        steps = client.exchange.poll_device_token(device_code="d", expires_at=code.expires_at)
        assert_type(drive.run(steps, http), oauth_core.Tokens)


async def elsewhere_in_a_coroutine(client: oauth_core.Client) -> None:
    code = await client.adevice_authorization(scope="openid")
    assert_type(code, oauth_core.DeviceAuthorizationResponse)
    login = await client.apoll_device_token(device_code=code.device_code, expires_at=0)
    assert_type(login, oauth_core.Tokens)


async def in_a_coroutine(source: oauth_core.GrantSource, client: oauth_core.Client) -> None:
    assert_type(await source.atoken(), oauth_core.Tokens)
    assert_type(await client.aintrospect(token="t"), oauth_core.IntrospectionResponse)
    assert_type(await client.arevoke(token="t"), None)
    assert_type(await source.atoken(timeout=5), oauth_core.Tokens)
    assert_type(await source.apost("https://api.example/", json=None), oauth_core.Response)
    async with source as entered, oauth_core.Grants(client, stores.MemoryStore()) as grants:
        assert_type(entered, oauth_core.GrantSource)
        assert_type(grants, oauth_core.Grants)
    assert_type(await source.aclose(), None)
    assert_type(await oauth_core.adiscover("https://as.example"), oauth_core.Server)
    assert_type(await oauth_core.alogin(client, scope="openid"), oauth_core.Tokens)
    httpx.AsyncClient(auth=oauth_core.httpx.Auth(source))
    aiohttp.ClientSession(middlewares=[oauth_core.aiohttp.Auth(source)])
    async with httpx.AsyncClient() as http:
        assert_type(await drive.arun(client.exchange.client_credentials(), http), oauth_core.Tokens)


def conversation(client: oauth_core.Client) -> Generator[drive.Step, drive.StepResult, str]:
    tokens = yield from client.exchange.client_credentials()
    assert_type(tokens, oauth_core.Tokens)
    return tokens.access_token


def replay(client: oauth_core.Client) -> drive.Moment:
    def moment() -> tuple[float, bytes]:
        return 1_750_000_000, bytes(32)

    assert_type(client.authorize(redirect_uri="https://app.example/", moment=moment).url, str)
    client.exchange.client_credentials(scope="read", moment=moment)
    oauth_core.discover_exchange("https://as.example", moment=moment)
    return moment


def stored_grants(client: oauth_core.Client, store: stores.Store) -> Generator[drive.Task, drive.TaskResult, str]:
    shared: list[stores.Store] = [stores.FileStore("grants"), stores.RedisStore("redis://localhost")]
    client.client_credentials(store=shared[0])
    assert_type(stores.FileStore("grants").keys(), list[str])
    assert_type(stores.RedisStore("redis://localhost", prefix="a:").remove("key"), bool)
    postgres = stores.PostgresStore("postgres://localhost/db", timeout=1)
    assert_type(stores.PostgresStore.SCHEMA, str)
    shared += [postgres, stores.SealedStore(store, "key"), stores.SealedStore(postgres, b"", old=["", b""])]
    keeper = client.keeper(subject="ann", moment=lambda: (0, bytes(32)))
    assert_type(keeper.ask().tokens, "oauth_core.Tokens | None")
    with httpx.Client() as http:
        assert_type(drive.keep(keeper, store, http), oauth_core.Tokens)
        drive.keep(client.keeper(grant_type="client_credentials", shared=False), None, http)
    tokens = yield from keeper.renewal()
    assert_type(tokens, oauth_core.Tokens)
    return tokens.access_token


class Service:
    def data_key(self) -> tuple[str, bytes]:
        return "id", bytes(32)

    def unwrap_key(self, id: str, /) -> bytes | None:
        return bytes(32) if id == "id" else None


class LaterService:
    async def data_key(self) -> tuple[str, stores.SealingKey]:
        return "id", stores.SealingKey(bytes(32))

    async def unwrap_key(self, id: str, /) -> str | None:
        return None


def sealed(store: stores.Store) -> None:
    key = stores.SealingKey.from_keyring("locks", service="app")
    assert_type(key.id, str)
    stores.SealedStore(store, key, old=[Service(), LaterService()], names=key)
    stores.SealedStore(stores.SqliteStore("grants.db", access="group"), Service())
    stores.FileStore("grants", access="all")  # type: ignore[arg-type]
    stores.SealedStore(store, object())  # type: ignore[arg-type]


def error_handling(error: oauth_core.OAuthError) -> Advice:
    assert_type(error.retry_after, "float | None")
    assert_type(error.code, ErrorCode)
    denied: oauth_core.DeniedError = oauth_core.DeniedError("no", code="denied.invalid_grant")
    assert_type(denied.code, DeniedCode)
    if error.code == "callback.state":
        return "give_up"
    if error.code == "callback.sate":  # type: ignore[comparison-overlap]
        return "retry"
    return error.advice


def hooks(client: oauth_core.Client, tokens: oauth_core.Tokens) -> None:
    """Plain functions: nothing would run a coroutine."""

    async def save_later(new: oauth_core.Tokens) -> None: ...

    async def ended_later(subject: str | None, error: oauth_core.OAuthError) -> None: ...

    client.source(tokens, on_tokens=lambda new: print(new))
    client.source(tokens, on_tokens=save_later)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    oauth_core.Grants(client, stores.MemoryStore(), on_ended=ended_later)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    oauth_core.login(client, open=print, paste=input, show=print)
