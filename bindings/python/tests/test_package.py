"""The package itself: its import, representations, pickling and README."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import datetime
import inspect
import logging
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import examples
import pytest
from conftest import CALLBACK, Twin, approve, expired, generic_client

import oauth_core

OPTIONAL = ("httpx", "httpx2", "requests", "aiohttp", "asyncio", "logging", "webbrowser", "ssl", "typing")


@dataclasses.dataclass
class Held:
    tokens: oauth_core.Tokens


def test_the_installed_wheel_is_tested() -> None:
    assert "site-packages" in str(oauth_core.__file__)
    assert re.fullmatch(r"\d+\.\d+\.\d+", oauth_core.__version__)


def test_importing_the_package_loads_no_optional_module_and_starts_no_thread(tmp_path: Path) -> None:
    code = (
        "import sys, oauth_core\n"
        "tasks = __import__('os').listdir('/proc/self/task')\n"
        f"print([name for name in {OPTIONAL!r} if name in sys.modules], len(tasks))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] 1"


def test_all_public_names_exist_and_are_documented() -> None:
    for name in oauth_core.__all__:
        thing = getattr(oauth_core, name)
        assert name == "__version__" or inspect.getdoc(thing), name


@pytest.mark.parametrize(
    "kind",
    [
        oauth_core.DeniedError,
        oauth_core.MalformedError,
        oauth_core.UntrustedError,
        oauth_core.LostError,
        oauth_core.MisuseError,
    ],
)
def test_errors_can_be_pickled_and_copied(kind: type[oauth_core.OAuthError]) -> None:
    error = kind(
        "token: no",
        code="denied.invalid_grant",
        advice="reauthorize",
        retry_after=3,
        endpoint="token",
        status=400,
        error="invalid_grant",
        error_description="gone",
        extra={"a": 1},
    )
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind and issubclass(kind, oauth_core.OAuthError)
        assert str(again) == "token: no" and vars(again) == vars(error)


def test_a_raised_error_can_be_pickled(generic: Twin) -> None:
    server = oauth_core.discover(generic.base, transport="loopback_http")
    client = oauth_core.Client(server, client_id=generic.data["client_id"], client_secret="wrong")
    with pytest.raises(oauth_core.DeniedError) as caught:
        client.client_credentials().token()
    again = pickle.loads(pickle.dumps(caught.value))
    assert vars(again) == vars(caught.value) and again.error == "invalid_client"


def test_no_representation_contains_a_secret(
    generic: Twin, person: tuple[oauth_core.Client, oauth_core.Tokens]
) -> None:
    client, tokens = person
    secret = generic.data["client_secret"]
    confidential = generic_client(generic)
    flow = client.authorize(redirect_uri=CALLBACK, scope="read")
    source = client.source(tokens)
    exchange = confidential.exchange.introspect(token=tokens.access_token)
    step = next(exchange)
    shown = [
        tokens,
        client,
        confidential,
        flow,
        source,
        exchange,
        step,
        client.server,
        client.exchange,
        source.resource([generic.base]),
        source.get(f"{generic.base}/api/echo", origins=[generic.base]),
        oauth_core.ClientSecretPost(secret),
        oauth_core.ClientSecretBasic(secret),
    ]
    assert tokens.refresh_token
    state = re.search(r"state=([^&]+)", flow.url)
    assert state
    hidden = [secret, tokens.access_token, tokens.refresh_token, state[1]]
    for thing in shown:
        text = f"{thing!r} {thing}"
        assert not any(secret in text for secret in hidden), type(thing)
        assert "oauth_core" in text or "Client" in text


def test_objects_with_secrets_cannot_be_pickled(
    person: tuple[oauth_core.Client, oauth_core.Tokens],
) -> None:
    client, tokens = person
    flow = client.authorize(redirect_uri=CALLBACK)
    for thing in (tokens, flow, client, client.source(tokens)):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(thing)
        assert "pickle" in str(caught.value)
    with pytest.raises(TypeError, match="serialize"):
        pickle.dumps(tokens)


def test_tokens_are_immutable(person: tuple[oauth_core.Client, oauth_core.Tokens]) -> None:
    tokens: Any = person[1]
    with pytest.raises(AttributeError):
        tokens.access_token = "x"
    with pytest.raises(AttributeError):
        tokens.another = "x"


def test_tokens_have_their_times_in_utc(person: tuple[oauth_core.Client, oauth_core.Tokens]) -> None:
    _, tokens = person
    now = datetime.datetime.now(datetime.timezone.utc)
    assert tokens.expires_at and tokens.expires_in == 3600
    assert tokens.expires_at.utcoffset() == datetime.timedelta(0)
    assert tokens.expires_at - tokens.received_at == datetime.timedelta(hours=1)
    assert abs(now - tokens.received_at) < datetime.timedelta(minutes=1)
    again = oauth_core.Tokens.deserialize(tokens.serialize())
    assert again.access_token == tokens.access_token and again.scope == tokens.scope
    assert again.serialize() == tokens.serialize()
    assert tokens.extra == {} and tokens.warnings == ()
    assert expired(tokens).received_at.year == 1970


def test_the_log_names_operations_and_no_secrets(
    generic: Twin, client: oauth_core.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="oauth_core"):
        tokens = client.client_credentials().token()
        with pytest.raises(oauth_core.OAuthError):
            client.redeem(client.authorize(redirect_uri=CALLBACK), CALLBACK + "?code=c0de&state=x")
        generic.fault("html")
        with pytest.raises(oauth_core.MalformedError):
            client.client_credentials().token()
    assert {record.name for record in caplog.records} == {"oauth_core"}
    text = caplog.text
    assert "token: done" in text and "token: reply.content_type" in text
    assert tokens.access_token not in text and "c0de" not in text
    assert generic.data["client_secret"] not in text


def test_coroutines_start_when_awaited(generic: Twin, client: oauth_core.Client) -> None:
    later = client.client_credentials().atoken()
    assert inspect.iscoroutine(later)
    assert generic.counters["token_requests"] == 0
    assert asyncio.run(later).access_token
    assert generic.counters["token_requests"] == 1


def test_a_coroutine_that_has_to_wait_requires_asyncio(
    generic: Twin, client: oauth_core.Client
) -> None:
    source = client.client_credentials()
    with pytest.raises(oauth_core.MisuseError, match="asyncio") as caught:
        source.atoken().send(None)
    assert caught.value.code == "runtime.missing"
    assert generic.counters["token_requests"] == 0
    # Under whatever runs it, trio or nothing at all, a token at hand is handed out.
    tokens = source.token()
    with pytest.raises(StopIteration) as done:
        source.atoken().send(None)
    assert done.value.value == tokens
    assert generic.counters["token_requests"] == 1


def test_tokens_are_compared_by_value(client: oauth_core.Client) -> None:
    first = client.client_credentials().token()
    again = oauth_core.Tokens.deserialize(first.serialize())
    assert first == again and hash(first) == hash(again)
    other = client.client_credentials().token()
    assert first != other and first != first.serialize()
    assert len({first, again, other}) == 2


def test_tokens_can_be_copied_inside_containers(client: oauth_core.Client) -> None:
    tokens = client.client_credentials().token()
    held = Held(tokens)
    assert dataclasses.asdict(held) == {"tokens": tokens}
    assert copy.deepcopy([held])[0].tokens == copy.copy(tokens) == tokens


def test_tokens_are_pickled_only_if_allowed() -> None:
    # The switch is the process's: this one's stays as it was.
    script = """
import pickle, oauth_core, oauth_core.pickling
tokens = oauth_core.Tokens.bearer("t", expires_at=2_000_000_000)
try:
    pickle.dumps(tokens)
except TypeError:
    pass
else:
    raise SystemExit("pickled without being asked to")
oauth_core.pickling.allow()
assert pickle.loads(pickle.dumps([tokens])) == [tokens]
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_configured_headers_of_the_client_are_sent(generic: Twin) -> None:
    data = generic.data
    client = oauth_core.Client(
        oauth_core.discover(generic.base, transport="loopback_http"),
        client_id=data["client_id"],
        client_secret=data["client_secret"],
        headers={"x-tenant": "acme"},
    )
    client.client_credentials().token()
    assert generic.entry("/token")["headers"]["x-tenant"] == "acme"


def test_the_password_grant_returns_tokens_or_reports_a_wrong_password(generic: Twin, client: oauth_core.Client) -> None:
    # The twin's one user.
    user, password = "alice", "w0nder+land & more"
    assert client.password(username=user, password=password, scope="read").scope == {"read"}
    assert generic.entry("/token")["form"]["grant_type"] == "password"
    with pytest.raises(oauth_core.DeniedError) as caught:
        client.password(username=user, password="guess", scope="read")
    assert caught.value.code == "denied.invalid_grant" and "guess" not in str(caught.value)


def test_advice_can_be_imported_from_errors() -> None:
    from oauth_core import errors

    assert "reauthorize" in errors.Advice.__args__  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        errors.Another  # type: ignore[attr-defined]  # noqa: B018


README = examples.examples("bindings/python/README.md")


@pytest.mark.parametrize("index", range(len(README)))
def test_the_readme_examples_run(
    twins: dict[str, Twin], index: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its code as it stands, with the preset moved to a twin."""
    examples.run(README[index], twins, monkeypatch, tmp_path)
