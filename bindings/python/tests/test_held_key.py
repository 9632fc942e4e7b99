"""External DPoP keys: a key service signs each proof, and nothing else has the key."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests
from conftest import ROOT, Answer, StubServer, process
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from test_fapi import Proofs, make_client, over_aiohttp
from test_identity import CALLBACK, Browser

import oauth_core
import oauth_core.drive
import oauth_core.httpx
import oauth_core.requests


class KeyService:
    """A key service as banks use: it signs, and exposes its public key."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.asked: list[tuple[str, str]] = []
        self.threads: set[int] = set()

    def der(self, step: oauth_core.Sign) -> bytes:
        self.asked.append((step.key_id, step.alg))
        self.threads.add(threading.get_ident())
        return self._key.sign(step.signing_input, ec.ECDSA(SHA256()))

    def sign(self, step: oauth_core.Sign) -> bytes:
        r, s = utils.decode_dss_signature(self.der(step))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    @property
    def public_jwk(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        x, y = (
            base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
            for number in (numbers.x, numbers.y)
        )
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def client_at(base: str, key: oauth_core.DpopKey) -> oauth_core.Client:
    metadata = {"issuer": base, "token_endpoint": f"{base}/token"}
    server = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    auth = oauth_core.ClientSecretBasic("s" * 32)
    return oauth_core.Client(server, client_id="id", client_auth=auth, dpop_key=key)


@pytest.fixture(scope="module")
def provider() -> Iterator[Any]:
    with process(["node", "fapi.mjs"], ROOT / "tests/interop/oidc-provider") as said:
        yield said


def test_a_fapi_2_client_logs_in_and_calls_the_api_with_an_external_dpop_key(provider: Any) -> None:
    service = KeyService()
    key = oauth_core.DpopKey.held(service.public_jwk, service.sign)
    client = make_client(provider, "security", dpop_key=key, profile="fapi2_security")
    flow = client.begin_authorization(redirect_uri=CALLBACK, scope="openid read")
    tokens = client.redeem(flow, Browser().open(flow.url))
    assert tokens.token_type == "DPoP"
    renewed = client.refresh(tokens=tokens)
    assert client.userinfo(tokens=renewed, subject="somebody").subject == "somebody"
    source = client.source(renewed)
    url, origins = f"{provider['issuer']}/me", [provider["issuer"]]
    assert source.get(url, origins=origins).json()["sub"] == "somebody"
    with httpx.Client(auth=oauth_core.httpx.Auth(source, origins=origins)) as http:
        assert http.get(url).json()["sub"] == "somebody"
    assert requests.get(url, auth=oauth_core.requests.Auth(source, origins=origins), timeout=10).ok
    assert asyncio.run(over_aiohttp(source, url, origins)) == "somebody"
    assert set(service.asked) == {("dpop", "ES256")}


async def over_httpx(auth: oauth_core.httpx.Auth, url: str) -> tuple[list[int], int]:
    async with httpx.AsyncClient(auth=auth) as http:
        replies = [await http.get(url), await http.post(url, content=b"x")]
    return [reply.status_code for reply in replies], threading.get_ident()


def test_each_kind_of_call_signs_its_proof_with_the_key_service(plain: Callable[[Answer], StubServer]) -> None:
    proofs, service = Proofs(), KeyService()
    base = plain(proofs).base
    key = oauth_core.DpopKey.held(json.dumps(service.public_jwk), service.sign, alg="ES256")
    client = client_at(base, key)
    source, url = client.client_credentials(), f"{base}/things"
    assert source.get(url, origins=[base]).status == 200
    assert asyncio.run(source.aget(url, origins=[base])).status == 200
    with httpx.Client(auth=oauth_core.httpx.Auth(source, origins=[base])) as http:
        assert http.post(url, content=b"x").status_code == 200
    assert requests.get(url, auth=oauth_core.requests.Auth(source, origins=[base]), timeout=10).ok
    service.threads.clear()
    auth = oauth_core.httpx.Auth(client.client_credentials(scope="other"), origins=[base])
    statuses, loop = asyncio.run(over_httpx(auth, url))
    assert statuses == [200, 200]
    # A key service may be slow: it does not block the event loop.
    assert service.threads and loop not in service.threads
    # A custom driver can ignore this.
    with httpx.Client() as http:
        tokens = oauth_core.drive.run(client.exchange.client_credentials(), http)
    assert tokens.token_type == "DPoP"

    async def driven() -> oauth_core.Tokens:
        async with httpx.AsyncClient() as http:
            return await oauth_core.drive.arun(client.exchange.client_credentials(), http)

    assert asyncio.run(driven()).token_type == "DPoP"
    assert all(header["jwk"] == key.public_jwk() for _, _, header, _ in proofs.seen)
    assert len(service.asked) == len(proofs.seen)


class ServiceDown(Exception):
    pass


def test_an_exception_of_the_key_service_is_raised_and_nothing_is_sent(
    plain: Callable[[Answer], StubServer],
) -> None:
    proofs, service = Proofs(), KeyService()
    base = plain(proofs).base
    is_down = threading.Event()

    def sign(step: oauth_core.Sign) -> bytes:
        if is_down.is_set():
            raise ServiceDown
        return service.sign(step)

    key = oauth_core.DpopKey.held(service.public_jwk, sign)
    source = client_at(base, key).client_credentials()
    is_down.set()
    with pytest.raises(ServiceDown):
        source.token()
    with pytest.raises(ServiceDown):
        asyncio.run(source.atoken())
    assert proofs.seen == []
    is_down.clear()
    # The one above waits a moment before it asks again.
    source = client_at(base, key).client_credentials()
    source.token()
    is_down.set()
    auth = oauth_core.httpx.Auth(source, origins=[base])
    before = len(proofs.seen)
    with pytest.raises(ServiceDown), httpx.Client(auth=auth) as http:
        http.get(f"{base}/things")
    with pytest.raises(ServiceDown):
        asyncio.run(over_httpx(auth, f"{base}/things"))
    with pytest.raises(ServiceDown):
        source.get(f"{base}/things", origins=[base])
    assert len(proofs.seen) == before


def test_an_invalid_signature_or_public_key_is_refused(plain: Callable[[Answer], StubServer]) -> None:
    proofs, service = Proofs(), KeyService()
    base = plain(proofs).base
    held = oauth_core.DpopKey.held
    # Key services give DER; JWS wants r and s.
    with pytest.raises(oauth_core.MisuseError) as error:
        client_at(base, held(service.public_jwk, service.der)).client_credentials().token()
    assert error.value.code == "client_auth.signature_length"
    with pytest.raises(TypeError):
        client_at(base, held(service.public_jwk, lambda step: "x")).client_credentials().token()  # type: ignore[arg-type,return-value]
    assert proofs.seen == []
    with pytest.raises(TypeError):
        held(service.public_jwk, "x")  # type: ignore[arg-type]
    private = {**service.public_jwk, "d": "AA"}
    for jwk, alg, code in (
        (private, "ES256", "key.malformed"),
        ("{}", "ES256", "key.malformed"),
        (service.public_jwk, "ES384", "key.algorithm"),
        (service.public_jwk, "HS256", "key.algorithm"),
    ):
        with pytest.raises(oauth_core.MisuseError) as error:
            held(jwk, service.sign, alg=alg)  # type: ignore[arg-type]
        assert error.value.code == code


def test_an_external_key_cannot_be_exported() -> None:
    service = KeyService()
    key = oauth_core.DpopKey.held(service.public_jwk, service.sign)
    with pytest.raises(oauth_core.MisuseError) as error:
        key.private_pem()
    assert error.value.code == "misuse.setup"
    assert key.public_jwk() == service.public_jwk
    assert repr(key) == f"<oauth_core.DpopKey {key.thumbprint}>"
