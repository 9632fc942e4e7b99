"""Sources and keepers that get tokens with a login at an identity provider."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import CALLBACK, ROOT, Twin, approve, generic_client

import oauth_core
import oauth_core.drive
from oauth_core import stores

# {"alg":"RS256"}, {"exp":1,"aud":"twin-client"} and a signature that is never verified.
EXPIRED_ID_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjEsImF1ZCI6InR3aW4tY2xpZW50In0.c2ln"


def with_expired_id_token(login: oauth_core.Tokens) -> oauth_core.Tokens:
    """These tokens, with an ID token that has expired since it was received."""
    assert login.id_token is not None
    text = login.serialize().replace(login.id_token, EXPIRED_ID_TOKEN)
    return oauth_core.Tokens.deserialize(re.sub(r'"received_at":\d+', '"received_at":0', text))


class Stage:
    """An identity provider with a signed-in user, and a server that trusts it."""

    def __init__(self, twins: dict[str, Twin]) -> None:
        self.idp, self.other = twins["identity-provider"], twins["generic"]
        self.idp_client, self.resource_client = generic_client(self.idp), generic_client(self.other)
        self.idp.vouch_to(self.other.base, self.other.data["client_id"])
        self.other.trust_identity_provider(self.idp.base)
        self.login = self.idp.signed_in(self.idp_client)
        assert self.login.id_token is not None
        self.id_token = self.login.id_token

    def requests(self) -> tuple[int, int]:
        """The numbers of token requests at the two servers."""
        return self.idp.counters["token_requests"], self.other.counters["token_requests"]

    def source(self, sign_in: Any, **more: Any) -> oauth_core.GrantSource:
        return self.resource_client.source(identity_provider=self.idp_client, sign_in=sign_in, scope="read", **more)


@pytest.fixture
def stage(twins: dict[str, Twin]) -> Stage:
    return Stage(twins)


def test_each_renewal_of_a_source_uses_the_current_sign_in(stage: Stage) -> None:
    sign_in = stage.idp_client.source(stage.login)
    source = stage.source(sign_in)
    before = stage.requests()
    access_tokens: list[str] = []
    threads = [threading.Thread(target=lambda: access_tokens.append(source.token().access_token)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(access_tokens) == 20 and len(set(access_tokens)) == 1
    after = stage.requests()
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
    tokens = source.token()
    assert list(tokens.scope) == ["read"] and tokens.refresh_token is None
    assert stage.resource_client.introspect(token=tokens.access_token).active
    # Each renewal is an exchange with a new assertion.
    renewed = source.renew(tokens)
    assert renewed.access_token != tokens.access_token
    after = stage.requests()
    assert (after[0] - before[0], after[1] - before[1]) == (2, 2)

    async def renew() -> str:
        return (await source.arenew(renewed)).access_token

    assert asyncio.run(renew()) not in (tokens.access_token, renewed.access_token)


def test_workers_with_a_shared_store_make_one_exchange(stage: Stage, tmp_path: Path) -> None:
    store = stores.FileStore(tmp_path / "grants")
    first = stage.source(lambda: stage.id_token, store=store, subject="ann")
    tokens = first.token()

    def unexpected() -> str:
        raise AssertionError("the tokens are fresh")

    second = stage.source(unexpected, store=store, subject="ann")
    assert second.token().access_token == tokens.access_token
    # Another user has other tokens, and so does a login at the second server.
    assert stage.source(unexpected, store=store, subject="bob").key != first.key
    assert stage.resource_client.source(store=store, subject="ann", scope="read").key != first.key
    with pytest.raises(oauth_core.MisuseError) as unnamed:
        stage.source(unexpected, store=store).token()
    assert unnamed.value.code == "grant.subject_missing"


def test_an_expired_id_token_is_renewed_by_its_source(stage: Stage) -> None:
    class SignIn:
        renewed = 0

        def token(self) -> oauth_core.Tokens:
            return with_expired_id_token(stage.login)

        def renew(self, tokens: oauth_core.Tokens, /) -> oauth_core.Tokens:
            assert tokens.id_token == EXPIRED_ID_TOKEN
            self.renewed += 1
            return stage.login

        def invalidate(self, tokens: oauth_core.Tokens, /) -> None:
            raise AssertionError("none is refused")

    sign_in = SignIn()
    assert stage.source(sign_in).token().access_token
    assert sign_in.renewed == 1
    plain = stage.idp_client.client_credentials()
    with pytest.raises(oauth_core.OAuthError) as missing:
        stage.source(plain).token()
    assert missing.value.code == "identity_assertion.no_id_token"
    assert missing.value.advice == "reauthorize"


def test_the_refresh_token_is_exchanged_if_the_renewed_login_has_no_valid_id_token(stage: Stage) -> None:
    flow = stage.idp_client.authorize(redirect_uri=CALLBACK, scope="openid offline_access")
    login = stage.idp_client.redeem(flow, approve(flow.url))
    assert login.id_token is not None and login.refresh_token is not None
    ended = with_expired_id_token(login)

    class SignIn:
        def token(self) -> oauth_core.Tokens:
            return ended

        def renew(self, tokens: oauth_core.Tokens, /) -> oauth_core.Tokens:
            return ended

        def invalidate(self, tokens: oauth_core.Tokens, /) -> None:
            raise AssertionError("none is refused")

    assert stage.source(SignIn()).token().access_token
    form = dict([entry for entry in stage.idp.log if entry["path"] == "/token"][-1]["form"])
    assert form["subject_token_type"] == "urn:ietf:params:oauth:token-type:refresh_token"


def test_a_sign_in_is_read_from_a_function_a_coroutine_or_a_file(stage: Stage, tmp_path: Path) -> None:
    async def later() -> str:
        return stage.id_token

    file = tmp_path / "id_token"
    file.write_text(stage.id_token + "\n")
    for sign_in in (lambda: stage.id_token, later, file, str(file)):
        source = stage.source(sign_in)
        tokens = source.token()
        assert source.renew(tokens).access_token != tokens.access_token
    # It is read each time.
    file.write_text(EXPIRED_ID_TOKEN)
    before = stage.requests()
    with pytest.raises(oauth_core.UntrustedError) as ended:
        source.renew(source.token())
    assert ended.value.code == "jwt.expired"
    assert stage.requests() == before
    file.write_text(stage.id_token)


def test_an_exception_of_a_sign_in_is_raised_and_ends_nothing(stage: Stage) -> None:
    raised: list[BaseException] = []

    def sign_in() -> str:
        if raised:
            raise raised.pop()
        return stage.id_token

    source = stage.source(sign_in)
    raised.append(KeyError("gone"))
    with pytest.raises(KeyError):
        source.token()
    assert source.token().access_token
    # Callers get the error of the identity provider, and a new sign-in works again.
    stage.idp.revoke()
    gone = stage.idp_client.source(stage.login)
    gone.invalidate(stage.login)
    source = stage.source(gone)
    with pytest.raises(oauth_core.DeniedError) as denied:
        source.token()
    assert denied.value.advice == "reauthorize"
    gone.log_in(stage.idp.signed_in(stage.idp_client))
    assert source.token().access_token


def test_the_log_contains_the_reason_of_a_failed_sign_in(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "oauth_core")

    def unexpected() -> str:
        raise KeyError("a secret")

    with pytest.raises(KeyError):
        stage.source(unexpected).token()
    assert "token_source.unreadable" in caplog.text and "a secret" not in caplog.text
    caplog.clear()
    stage.idp.revoke()
    gone = stage.idp_client.source(stage.login)
    gone.invalidate(stage.login)
    with pytest.raises(oauth_core.DeniedError):
        stage.source(gone).token()
    assert "failed: " in caplog.text and "lost.unsent" not in caplog.text
    assert caplog.text.count("denied.invalid_grant") == 2, "the sign-in ended, and the renewal failed"


def test_a_keeper_with_a_sign_in_can_be_driven(stage: Stage) -> None:
    for sign_in in (lambda: stage.id_token, stage.idp_client.source(stage.login)):
        keeper = stage.resource_client.keeper(
            shared=False, scope="read", identity_provider=stage.idp_client, sign_in=sign_in
        )
        with httpx.Client() as http:
            tokens = oauth_core.drive.keep(keeper, None, http)
        assert list(tokens.scope) == ["read"]
        assert stage.resource_client.introspect(token=tokens.access_token).active


def test_an_incomplete_or_invalid_sign_in_is_rejected(stage: Stage) -> None:
    for wrong in (
        {"sign_in": lambda: "x"},
        {"identity_provider": stage.idp_client},
        {"subject_token_type": "saml2"},
        {"identity_provider": stage.idp_client, "sign_in": 1},
        {"identity_provider": stage.idp_client, "sign_in": lambda: "x", "tokens": stage.login},
    ):
        given: dict[str, Any] = dict(wrong)
        with pytest.raises(TypeError):
            stage.resource_client.source(**given)
    with pytest.raises(oauth_core.MisuseError) as unknown:
        stage.source(lambda: "x", subject_token_type="access_token")
    assert unknown.value.code == "identity_assertion.subject_token_type"
    shown = stage.source(lambda: "the-id-token")
    assert "the-id-token" not in repr(shown) + str(shown)


def expired_id_token(id_token: str) -> str:
    """The same ID token, but expired. Its signature was verified before."""
    header, payload, signature = id_token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    text = json.dumps({**claims, "exp": int(time.time()) - 1}).encode()
    return f"{header}.{base64.urlsafe_b64encode(text).decode().rstrip('=')}.{signature}"


def test_idjag_renew_order(stage: Stage) -> None:
    """The vector `idjag-renew-order`: of the valid credentials, the most recent is used first."""
    vectors = json.loads((ROOT / "tests/vectors/vectors.json").read_text("utf-8"))["vectors"]
    [vector] = [one for one in vectors if one["id"] == "idjag-renew-order"]
    now = vector["input"]["now"]
    names = {"refresh_token": "refresh", "urn:ietf:params:oauth:grant-type:token-exchange": "exchange"}

    def steps(before: tuple[int, int]) -> list[str]:
        forms = ([e["form"] for e in twin.log if e["path"] == "/token"] for twin in (stage.idp, stage.other))
        pairs = zip(forms, before)
        return [names.get(dict(form)["grant_type"], "redeem") for log, count in pairs for form in log[count:]]

    seen = []
    for case in vector["input"]["cases"]:
        stored = json.loads(stage.login.serialize())
        if case.get("id_token_expires", 0) < now:
            stored |= {"id_token": expired_id_token(stage.id_token), "received_at": stored["received_at"] - 60}
        if not case.get("refresh_token"):
            stored.pop("refresh_token", None)
        login = oauth_core.Tokens.deserialize(json.dumps(stored))
        held = stage.idp_client.request_identity_assertion(
            subject_token=stage.id_token, issuer=stage.other.base, scope="read"
        )
        before = stage.requests()
        if case["id_jag_expires"] > now:
            # A source takes a new assertion each time, as servers take each once: the caller has this one.
            assert stage.resource_client.redeem_identity_assertion(assertion=held.assertion).access_token
        elif case.get("id_token_expires", 0) < now and not case.get("refresh_token"):
            with pytest.raises(oauth_core.OAuthError) as over:
                stage.source(stage.idp_client.source(login)).token()
            assert over.value.advice == "reauthorize"
            seen.append(steps(before) + ["login_required"])
            continue
        else:
            assert stage.source(stage.idp_client.source(login)).token().access_token
        seen.append(steps(before))
    assert seen == vector["expected"]["steps"]
