"""FAPI 2.0 requirements on clients, tested against npm's oidc-provider, and the contents of DPoP proofs."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jwt
import pytest
import requests
from conftest import ROOT, Answer, StubServer, process, reply
from test_identity import CALLBACK, Browser

import oauth_core
import oauth_core.aiohttp
import oauth_core.httpx
import oauth_core.requests
import oauth_core.stores

METADATA = {
    "issuer": "https://as.example",
    "authorization_endpoint": "https://as.example/authorize",
    "token_endpoint": "https://as.example/token",
    "pushed_authorization_request_endpoint": "https://as.example/par",
}


@pytest.fixture(scope="module")
def provider() -> Iterator[Any]:
    with process(["node", "fapi.mjs"], ROOT / "tests/interop/oidc-provider") as server_info:
        yield server_info


def make_client(server_info: Any, which: str, **options: Any) -> oauth_core.Client:
    server = oauth_core.discover(server_info["issuer"], transport="loopback_http")
    key = server_info["clients"][which]["private_key"]
    auth = oauth_core.PrivateKeyJwt(key, alg="ES256")
    return oauth_core.Client(server, client_id=which, client_auth=auth, **options)


def offline(metadata: dict[str, Any] | None = None, **options: Any) -> oauth_core.Client:
    server_metadata = {**METADATA, **(metadata or {})}
    server = oauth_core.Server.from_metadata("https://as.example", server_metadata)
    return oauth_core.Client(server, client_id="id", **options)


def parameters(url: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def signed_in(tokens: oauth_core.Tokens) -> Any:
    assert tokens.claims
    return tokens.claims["sub"]


def test_a_fapi_2_client_logs_in_with_pushed_requests_and_gets_bound_tokens(provider: Any) -> None:
    key = oauth_core.DpopKey.generate()
    for which, profile in (("security", "fapi2_security"), ("signing", "fapi2_message_signing")):
        client = make_client(provider, which, dpop_key=key, profile=profile)
        with pytest.raises(oauth_core.MisuseError) as error:
            client.authorize(redirect_uri=CALLBACK, scope="openid read")
        assert error.value.code == "authorization.push_required"
        flow = client.begin_authorization(redirect_uri=CALLBACK, scope="openid read")
        assert set(parameters(flow.url)) == {"client_id", "request_uri"}
        assert flow.expires_in and flow.request_object is None
        tokens = client.redeem(flow, Browser().open(flow.url))
        assert tokens.token_type == "DPoP"
        assert client.userinfo(tokens=tokens, subject="somebody").subject == "somebody"
        renewed = client.refresh(tokens=tokens)
        assert renewed.token_type == "DPoP"
        # Each plug-in sends proofs and answers nonce challenges.
        source = client.source(renewed)
        url = f"{provider['issuer']}/me"
        origins = [provider["issuer"]]
        assert source.get(url, origins=origins).json()["sub"] == "somebody"
        with httpx.Client(auth=oauth_core.httpx.Auth(source, origins=origins)) as http:
            assert http.get(url).json()["sub"] == "somebody"
        auth = oauth_core.requests.Auth(source, origins=origins)
        assert requests.get(url, auth=auth, timeout=10).json()["sub"] == "somebody"
        assert asyncio.run(over_aiohttp(source, url, origins)) == "somebody"
        thief = oauth_core.Client(client.server, client_id=which, dpop_key=oauth_core.DpopKey.generate())
        with pytest.raises(oauth_core.DeniedError):
            thief.userinfo(tokens=renewed, subject="somebody")


async def over_aiohttp(source: Any, url: str, origins: list[str]) -> Any:
    import aiohttp

    auth = oauth_core.aiohttp.Auth(source, origins=origins)
    async with aiohttp.ClientSession(middlewares=[auth]) as session, session.get(url) as response:
        response_body: dict[str, Any] = await response.json(content_type=None)
        return response_body["sub"]


def test_request_objects_and_responses_are_signed_in_each_response_mode(provider: Any) -> None:
    client = make_client(provider, "browser", request_object_signing_alg="ES256")
    for mode in (None, "jwt", "query.jwt", "fragment.jwt"):
        flow = client.authorize(redirect_uri=CALLBACK, scope="openid read", response_mode=mode)
        assert "state" not in parameters(flow.url)
        assert signed_in(client.redeem(flow, Browser().open(flow.url))) == "somebody"
    opening = json.dumps(provider["clients"]["encrypted"]["decryption_key"])
    client = make_client(
        provider,
        "encrypted",
        authorization_encrypted_response_alg="ECDH-ES",
        authorization_encrypted_response_enc="A256GCM",
        decryption_keys=[opening],
    )
    flow = client.authorize(redirect_uri=CALLBACK, scope="openid", response_mode="jwt")
    flow = oauth_core.PendingAuthorization.deserialize(flow.serialize())
    callback = Browser().open(client_url(client, flow))
    assert callback.split("response=")[1].count(".") == 4
    assert signed_in(client.redeem(flow, callback)) == "somebody"


def test_a_signed_response_is_posted_as_form_post_jwt(provider: Any) -> None:
    client = make_client(provider, "browser", request_object_signing_alg="ES256")
    flow = client.authorize(
        redirect_uri=CALLBACK, scope="openid read", response_mode="form_post.jwt"
    )
    page = Browser().open(flow.url)
    found = re.search(r'name="response" value="([^"]*)"', page)
    assert found and found[1].count(".") == 2
    assert signed_in(client.redeem(flow, f"response={found[1]}")) == "somebody"


def test_request_objects_are_encrypted_to_the_server(provider: Any) -> None:
    signed: Any = {"request_object_signing_alg": "ES256"}
    client = make_client(
        provider,
        "secretive",
        request_object_encryption_alg="ECDH-ES+A256KW",
        request_object_encryption_enc="A256GCM",
        **signed,
    )
    for push in ("where_required", "always"):
        flow = client.begin_authorization(redirect_uri=CALLBACK, scope="openid", push=push)
        query = parameters(flow.url)
        assert query.get("request", "....").count(".") == 4 and "state" not in query
        assert signed_in(client.redeem(flow, Browser().open(flow.url))) == "somebody"
    for alg, code in (("dir", "key.algorithm"), ("RSA-OAEP-256", "key.algorithm")):
        with pytest.raises(oauth_core.MisuseError) as error:
            other = make_client(provider, "secretive", request_object_encryption_alg=alg, **signed)
            other.begin_authorization(redirect_uri=CALLBACK)
        assert error.value.code == code
    exported = client.export_keys()
    assert exported and '"use":"enc"' in exported


def client_url(client: oauth_core.Client, flow: oauth_core.PendingAuthorization) -> str:
    """The authorization URL, rebuilt from a stored flow, which does not contain it."""
    stored_flow = json.loads(flow.serialize())
    challenge = hashlib.sha256(stored_flow["code_verifier"].encode()).digest()
    expected_query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": CALLBACK,
        "scope": "openid",
        "state": stored_flow["state"],
        "nonce": stored_flow["nonce"],
        "response_mode": "jwt",
        "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    return f"{client.server.issuer}/auth?{urllib.parse.urlencode(expected_query)}"


def test_fifty_concurrent_callers_of_a_bound_grant_share_one_renewal() -> None:
    folder = ROOT / "tests/interop/oidc-provider"
    with process(["env", "ACCESS_TOKEN_SECONDS=1", "node", "fapi.mjs"], folder) as server_info:
        client = make_client(server_info, "security", dpop_key=oauth_core.DpopKey.generate())
        flow = client.begin_authorization(redirect_uri=CALLBACK, scope="openid", push="always")
        source = client.source(client.redeem(flow, Browser().open(flow.url)))
        time.sleep(1.1)
        barrier = threading.Barrier(50)

        def request_api(_: int) -> str:
            barrier.wait()
            return source.token().access_token

        with ThreadPoolExecutor(50) as threads:
            assert len(set(threads.map(request_api, range(50)))) == 1
        with urllib.request.urlopen(f"{server_info['issuer']}/_counters") as counters:
            assert json.load(counters)["refreshes"] == 1


def json_reply(status: int, body: object, **headers: str) -> Answer:
    return reply(status, json.dumps(body).encode(), content_type="application/json", **headers)


class Proofs:
    """A token endpoint and an API that record the proofs, and each require a nonce."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = []
        self.authorizations: list[str | None] = []

    def __call__(self, request: Any) -> None:
        proof = request.headers.get_all("DPoP") or []
        assert len(proof) == 1
        header = jwt.get_unverified_header(proof[0])
        key = jwt.PyJWK(header["jwk"])
        claims = jwt.decode(
            proof[0], key.key, algorithms=[header["alg"]], options={"verify_aud": False}
        )
        self.seen.append((request.command, request.path, header, claims))
        self.authorizations.append(request.headers.get("Authorization"))
        is_token = request.path == "/token"
        nonce = {"DPoP-Nonce": "for-tokens" if is_token else "for-the-api"}
        if "nonce" not in claims:
            challenge = {} if is_token else {"WWW-Authenticate": 'DPoP error="use_dpop_nonce", algs="ES256"'}
            response = json_reply(400 if is_token else 401, {"error": "use_dpop_nonce"}, **nonce, **challenge)
        elif is_token:
            response = json_reply(200, {"access_token": "a~t", "token_type": "dpop", "expires_in": 600})
        else:
            response = json_reply(200, {"well": True})
        response(request)


def test_a_dpop_proof_has_the_header_and_claims_of_rfc_9449(plain: Callable[[Answer], StubServer]) -> None:
    proofs = Proofs()
    base = plain(proofs).base
    metadata = {"issuer": base, "token_endpoint": f"{base}/token"}
    server = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    key = oauth_core.DpopKey.generate()
    client = oauth_core.Client(
        server, client_id="id", client_auth=oauth_core.ClientSecretBasic("s" * 32), dpop_key=key
    )
    source = client.client_credentials()
    auth = oauth_core.httpx.Auth(source, origins=[base])
    with httpx.Client(auth=auth) as http:
        assert http.get(f"{base}/things?a=b#c").json() == {"well": True}
        assert http.post(f"{base}/things", content=b"x").json() == {"well": True}
        stream = http.post(f"{base}/other", content=iter([b"x"]), headers={"content-length": "1"})
        assert stream.json() == {"well": True}
    ways = [(method, path.split("?")[0], claims.get("nonce")) for method, path, _, claims in proofs.seen]
    assert ways == [
        ("POST", "/token", None),
        ("POST", "/token", "for-tokens"),
        ("GET", "/things", None),
        ("GET", "/things", "for-the-api"),
        ("POST", "/things", "for-the-api"),
        ("POST", "/other", "for-the-api"),
    ]
    hashed = base64.urlsafe_b64encode(hashlib.sha256(b"a~t").digest()).rstrip(b"=").decode()
    for method, path, header, claims in proofs.seen:
        assert header["typ"] == "dpop+jwt" and set(header) == {"typ", "alg", "jwk"}
        assert header["jwk"] == key.public_jwk() and "d" not in header["jwk"]
        assert claims["htm"] == method
        assert claims["htu"] == base + path.split("?")[0]
        assert claims.get("ath") == (None if path == "/token" else hashed)
    assert len({claims["jti"] for *_, claims in proofs.seen}) == len(proofs.seen)
    assert set(proofs.authorizations[2:]) == {"DPoP a~t"}


def test_a_streamed_body_is_not_resent_for_a_nonce(plain: Callable[[Answer], StubServer]) -> None:
    proofs = Proofs()
    base = plain(proofs).base
    metadata = {"issuer": base, "token_endpoint": f"{base}/token"}
    server = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    auth = oauth_core.ClientSecretBasic("s" * 32)
    client = oauth_core.Client(
        server, client_id="id", client_auth=auth, dpop_key=oauth_core.DpopKey.generate()
    )
    attached = oauth_core.httpx.Auth(client.client_credentials(), origins=[base])
    with httpx.Client(auth=attached) as http:
        assert http.post(f"{base}/things", content=iter([b"x"]), headers={"content-length": "1"}).status_code == 401
        # The nonce of that reply is kept.
        assert http.post(f"{base}/things", content=iter([b"x"]), headers={"content-length": "1"}).status_code == 200


def test_a_client_with_a_dpop_key_rejects_bearer_tokens(plain: Callable[[Answer], StubServer]) -> None:
    base = plain(json_reply(200, {"access_token": "a", "token_type": "Bearer"})).base
    metadata = {"issuer": base, "token_endpoint": f"{base}/token"}
    server = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    auth = oauth_core.ClientSecretBasic("s" * 32)
    key = oauth_core.DpopKey.generate()
    client = oauth_core.Client(server, client_id="id", client_auth=auth, dpop_key=key)
    with pytest.raises(oauth_core.UntrustedError) as error:
        client.client_credentials().token()
    assert error.value.code == "token.not_sender_constrained"


def test_a_dpop_key_is_exported_as_pem_only_and_not_shown_in_its_repr() -> None:
    key = oauth_core.DpopKey.generate("ES384")
    again = oauth_core.DpopKey(key.private_pem(), alg="ES384")
    assert again.thumbprint == key.thumbprint and key.thumbprint in repr(key)
    assert set(key.public_jwk()) == {"kty", "crv", "x", "y"}
    with pytest.raises(TypeError):
        import pickle

        pickle.dumps(key)
    for text, alg, code in (
        ("x", None, "key.malformed"),
        (key.private_pem(), "ES256", "key.algorithm"),
    ):
        with pytest.raises(oauth_core.MisuseError) as error:
            oauth_core.DpopKey(text, alg=alg)  # type: ignore[arg-type]
        assert error.value.code == code
    with pytest.raises(oauth_core.MisuseError) as error:
        oauth_core.DpopKey.generate("HS256")  # type: ignore[arg-type]
    assert error.value.code == "key.algorithm"


def test_clients_share_a_grant_only_if_they_share_the_dpop_key() -> None:
    metadata = {"grant_types_supported": ["authorization_code", "refresh_token"]}
    store = oauth_core.stores.MemoryStore()
    auth = oauth_core.ClientSecretBasic("s" * 32)
    one, other = oauth_core.DpopKey.generate(), oauth_core.DpopKey.generate()

    def grant_key(key: oauth_core.DpopKey | None) -> str | None:
        client = offline(metadata, client_auth=auth, dpop_key=key)
        return client.source(store=store, subject="ann").key

    assert grant_key(one) == grant_key(one)
    assert len({grant_key(one), grant_key(other), grant_key(None)}) == 3


def test_a_profile_error_names_the_violated_clause() -> None:
    client = offline(client_auth=oauth_core.ClientSecretBasic("s" * 32), profile="fapi2_security")
    with pytest.raises(oauth_core.MisuseError) as error:
        client.begin_authorization(redirect_uri=CALLBACK)
    assert error.value.code == "profile.forbidden"
    assert "FAPI 2.0 Security Profile section 5.3.3.1" in str(error.value)
    with pytest.raises(oauth_core.MisuseError) as error:
        client.password(username="ann", password="hunter22")
    assert error.value.code == "profile.forbidden"
    with pytest.raises(oauth_core.MisuseError) as error:
        offline(profile="fapi")
    assert error.value.code == "argument.invalid"


def test_a_required_step_up_is_requested_in_the_next_login_only_once() -> None:
    challenge = (
        'Bearer error="insufficient_user_authentication", acr_values="mfa", max_age="0", scope="pay"'
    )
    required_step_up = oauth_core.step_up(401, challenge)
    assert required_step_up == {"acr_values": ["mfa"], "max_age": 0, "scope": "pay"}
    assert oauth_core.step_up(401, 'Bearer error="invalid_token"') is None
    client = offline(client_auth=oauth_core.Public())
    authorization = client.exchange.begin_authorization(
        redirect_uri="https://app.example/cb", scope="read", step_up=required_step_up
    )
    with pytest.raises(StopIteration) as done:
        next(authorization)
    flow = done.value.value
    query = parameters(flow.url)
    assert (query["acr_values"], query["max_age"], query["scope"]) == ("mfa", "0", "read pay")
    redeeming = client.exchange.redeem(flow, f"https://app.example/cb?code=c&state={flow.state}")
    next(redeeming)
    response_body = {"access_token": "a", "token_type": "Bearer", "expires_in": 600}
    with pytest.raises(StopIteration) as redeemed:
        redeeming.send((200, [("content-type", "application/json")], json.dumps(response_body).encode()))
    with pytest.raises(oauth_core.MisuseError) as error:
        client.authorize(
            redirect_uri="https://app.example/cb", step_up=required_step_up, tokens=redeemed.value.value
        )
    assert error.value.code == "step_up.repeated"


def test_the_claims_of_a_challenge_are_sent_in_the_next_request() -> None:
    """Microsoft Entra's claims challenge, which comes in base64."""
    claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
    encoded = base64.b64encode(claims.encode()).decode()
    required_step_up = oauth_core.step_up(401, f'Bearer realm="", error="insufficient_claims", claims="{encoded}"')
    client = offline(client_auth=oauth_core.Public())
    flow = client.authorize(redirect_uri="https://app.example/cb", step_up=required_step_up)
    assert parameters(flow.url)["claims"] == claims


@pytest.mark.parametrize("profile", ["oauth21", "strict"])
def test_the_oauth21_and_strict_profiles_reject_the_password_grant_and_missing_pkce(profile: Any) -> None:
    def under(**more: Any) -> oauth_core.Client:
        metadata = {**METADATA, **more}
        del metadata["pushed_authorization_request_endpoint"]
        server = oauth_core.Server.from_metadata("https://as.example", {**metadata, **more})
        return oauth_core.Client(
            server, client_id="id", client_auth=oauth_core.Public(), profile=profile
        )

    redirect_uri = "https://app.example/cb"
    client = under(code_challenge_methods_supported=["S256"])
    with pytest.raises(oauth_core.MisuseError, match=r"OAuth 2\.1|RFC 9700") as error:
        client.password(username="ann", password="hunter22")
    assert error.value.code == "profile.forbidden"
    assert parameters(client.authorize(redirect_uri=redirect_uri).url)["code_challenge"]
    if profile == "strict":
        for methods, code in (([], "unsupported"), (["plain"], "s256_unsupported")):
            pkce_metadata: Any = {"code_challenge_methods_supported": methods} if methods else {}
            with pytest.raises(oauth_core.MisuseError) as error:
                under(**pkce_metadata).authorize(redirect_uri=redirect_uri)
            assert error.value.code == f"pkce.{code}"
        # Requests are pushed if the server supports it.
        offered = under(
            code_challenge_methods_supported=["S256"],
            pushed_authorization_request_endpoint="https://as.example/par",
        )
        with pytest.raises(oauth_core.MisuseError) as error:
            offered.authorize(redirect_uri=redirect_uri)
        assert error.value.code == "authorization.push_required"


def test_a_signed_request_object_is_referenced_by_request_uri() -> None:
    key = oauth_core.DpopKey.generate().private_pem()
    auth = oauth_core.PrivateKeyJwt(key, alg="ES256")
    client = offline(client_auth=auth, request_object_signing_alg="ES256")
    url = "https://app.example/requests/4711"
    flow = client.begin_authorization(redirect_uri="https://app.example/cb", request_uri=url)
    assert parameters(flow.url) == {"client_id": "id", "request_uri": url}
    assert flow.request_object
    claims = jwt.decode(flow.request_object, options={"verify_signature": False})
    assert claims["client_id"] == claims["iss"] == "id" and "sub" not in claims


def test_a_code_is_redeemed_for_a_subset_of_its_resources(provider: Any) -> None:
    client = make_client(provider, "security", dpop_key=oauth_core.DpopKey.generate())
    one, other = "https://one.example/", "https://other.example/"
    flow = client.begin_authorization(
        redirect_uri=CALLBACK, scope="openid read", resource=[one, other], push="always"
    )
    callback = Browser().open(flow.url)
    with pytest.raises(oauth_core.MisuseError) as error:
        client.redeem(flow, callback, resource=["https://third.example/"])
    assert error.value.code == "resource.exceeds_grant"
    sent = next(client.exchange.redeem(oauth_core.PendingAuthorization.deserialize(flow.serialize()), callback, resource=[other]))
    assert isinstance(sent, oauth_core.Send)
    assert urllib.parse.parse_qs(sent.body.decode())["resource"] == [other]
    tokens = client.redeem(flow, callback, resource=[one])
    # A refresh may ask for the rest of them, and for nothing else.
    stored = oauth_core.Tokens.deserialize(tokens.serialize())
    tokens = client.refresh(tokens=stored, resource=[other])
    with pytest.raises(oauth_core.MisuseError) as error:
        client.refresh(tokens=tokens, resource=["https://third.example/"])
    assert error.value.code == "resource.exceeds_grant"


def test_workers_share_a_dpop_key_in_their_store(tmp_path: Any) -> None:
    memory = oauth_core.stores.MemoryStore()
    sealed = oauth_core.stores.SealedStore(memory, bytes(range(32)))
    opened = oauth_core.DpopKey.open
    for store in (oauth_core.stores.FileStore(tmp_path / "keys"), memory, sealed):
        name = f"api-{id(store)}"
        key = opened(store, name)
        assert opened(store, name).thumbprint == key.thumbprint
        assert asyncio.run(oauth_core.DpopKey.aopen(store, name)).thumbprint == key.thumbprint
        assert opened(store, f"{name}-2").thumbprint != key.thumbprint
        for wrong, alg, code in (
            (name, "EdDSA", "key.algorithm"),
            ("", "ES256", "argument.invalid"),
            ("x" * 49, "ES256", "argument.invalid"),
        ):
            with pytest.raises(oauth_core.MisuseError) as error:
                opened(store, wrong, alg=alg)  # type: ignore[arg-type]
            assert error.value.code == code
    # Of several that make one at once, all get the one that was stored first.
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(lambda _: opened(memory, "race").thumbprint, range(8))
        assert len(set(made)) == 1


@pytest.mark.parametrize("way", ["blocking", "asyncio"])
def test_a_backchannel_authentication_request_is_signed(provider: Any, way: str) -> None:
    """CIBA Core section 7.1.1. The client is registered for signed requests, so the server rejects unsigned ones."""
    arguments: Any = {"login_hint": "somebody", "scope": "openid read", "binding_message": "W4SCT", "requested_expiry": 60}
    with pytest.raises(oauth_core.DeniedError) as error:
        make_client(provider, "backchannel").backchannel_authentication(**arguments)
    assert error.value.code == "denied.invalid_request"
    client = make_client(provider, "backchannel", request_object_signing_alg="ES256")
    sent = next(client.exchange.backchannel_authentication(**arguments))
    assert isinstance(sent, oauth_core.Send) and sent.body is not None
    form = dict(urllib.parse.parse_qsl(sent.body.decode()))
    assert not form.keys() & {"login_hint", "scope", "binding_message"}
    claims = jwt.decode(form["request"], options={"verify_signature": False})
    assert (claims["login_hint"], claims["iss"]) == ("somebody", "backchannel")

    async def begin_request() -> Any:
        return await client.abackchannel_authentication(**arguments)

    request = asyncio.run(begin_request()) if way == "asyncio" else client.backchannel_authentication(**arguments)
    approval = urllib.request.Request(f"{provider['issuer']}/_answer/yes", method="POST")
    with urllib.request.urlopen(approval) as reply:
        assert reply.read() == b"W4SCT"
    tokens = client.poll_backchannel_token(
        auth_req_id=request.auth_req_id, interval=1, expires_at=request.expires_at, scope="openid read"
    )
    assert signed_in(tokens) == "somebody"
