"""Hooks of the application: only plain functions are accepted, and their exceptions are reported."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from conftest import Twin, browse, expired, generic_client

import oauth_core
from oauth_core.stores import MemoryStore

Person = tuple[oauth_core.Client, oauth_core.Tokens]


async def run_later(*_: object) -> None:
    raise AssertionError("nothing runs a coroutine")


class RunLater:
    async def __call__(self, *_: object) -> None:
        raise AssertionError("nothing runs a coroutine")


def generator_hook(*_: object) -> Any:
    yield


HOOKS: dict[str, Callable[[oauth_core.Client, Any], object]] = {
    "source: on_tokens": lambda client, hook: client.source(store=MemoryStore(), subject="ann", on_tokens=hook),
    "client_credentials: on_tokens": lambda client, hook: client.client_credentials(on_tokens=hook),
    "Grants: on_renewed": lambda client, hook: oauth_core.Grants(client, MemoryStore(), on_renewed=hook),
    "Grants: on_ended": lambda client, hook: oauth_core.Grants(client, MemoryStore(), on_ended=hook),
    "Grants: on_authorization_ends": lambda client, hook: oauth_core.Grants(
        client, MemoryStore(), on_authorization_ends=hook
    ),
    "Api: on_wait": lambda client, hook: oauth_core.Api(
        client.client_credentials(), origins=["https://api.example"], on_wait=hook
    ),
    "ResourceConnection: open": lambda client, hook: oauth_core.ResourceConnection("https://api.example", open=hook),
    "ResourceConnection: show": lambda client, hook: oauth_core.ResourceConnection("https://api.example", show=hook),
    "login: open": lambda client, hook: oauth_core.login(client, open=hook),
    "login: paste": lambda client, hook: oauth_core.login(client, open=print, paste=hook),
    "login: show": lambda client, hook: oauth_core.login(client, device=True, show=hook),
    "alogin: open": lambda client, hook: asyncio.run(oauth_core.alogin(client, open=hook)),
}


@pytest.mark.parametrize("where", HOOKS)
@pytest.mark.parametrize("hook", [run_later, RunLater(), partial(run_later, 1), generator_hook, "text"])
def test_a_hook_that_is_not_a_plain_function_is_rejected(client: oauth_core.Client, where: str, hook: object) -> None:
    name = where.partition(": ")[2]
    with pytest.raises(TypeError) as caught:
        HOOKS[where](client, hook)
    assert f"argument '{name}': it must be a " in str(caught.value)
    assert "function" in str(caught.value) and type(caught.value).__name__ in ("TypeError", "ArgumentTypeError")


def test_a_coroutine_returned_by_a_hook_is_reported(client: oauth_core.Client) -> None:
    source = client.client_credentials(on_tokens=lambda tokens: run_later(tokens))  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TypeError, match="on_tokens returned a coroutine"):
            source.token()
    assert source.token().access_token


def test_login_reports_a_coroutine_returned_by_open(generic: Twin) -> None:
    client = generic_client(generic, public=True)
    with pytest.raises(TypeError, match="open returned a coroutine"):
        oauth_core.login(client, scope="read", open=lambda url: run_later(url), timeout=5)


def test_open_may_start_a_task(generic: Twin) -> None:
    """As with the asynchronous API of Playwright."""
    client = generic_client(generic, public=True)

    async def main() -> oauth_core.Tokens:
        async def visit(url: str) -> None:
            await asyncio.to_thread(browse, url)

        return await oauth_core.alogin(
            client, scope="read", open=lambda url: asyncio.ensure_future(visit(url)), timeout=30
        )

    assert asyncio.run(main()).access_token


@pytest.mark.parametrize("way", ["blocking", "asyncio"])
def test_an_exception_of_on_tokens_is_raised_to_the_renewing_caller_and_the_tokens_are_kept(
    generic: Twin, person: Person, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    failure = RuntimeError("the database is down: s3cret")

    def save(_: oauth_core.Tokens) -> None:
        raise failure

    client, tokens = person
    source = client.source(expired(tokens), on_tokens=save)
    before = generic.counters["token_requests"]
    with caplog.at_level(logging.ERROR, logger="oauth_core"), pytest.raises(RuntimeError) as caught:
        source.token() if way == "blocking" else asyncio.run(source.atoken())
    assert caught.value is failure
    assert source.token().access_token != tokens.access_token
    assert generic.counters["token_requests"] - before == 1
    assert "on_tokens failed" in caplog.text and "test_hooks.py:" in caplog.text and "s3cret" not in caplog.text


def test_an_error_of_the_package_raised_in_a_hook_is_passed_on(client: oauth_core.Client) -> None:
    def save(_: oauth_core.Tokens) -> None:
        raise oauth_core.LostError("no answer [lost.timeout]", code="lost.timeout")

    with pytest.raises(oauth_core.LostError) as caught:
        client.client_credentials(on_tokens=save).token()
    assert caught.value.code == "lost.timeout"


def test_an_exception_of_on_renewed_is_raised_to_the_renewing_caller(generic: Twin, person: Person) -> None:
    def save(subject: str | None, _: oauth_core.Tokens) -> None:
        raise LookupError(subject)

    client, tokens = person
    grants = oauth_core.Grants(client, MemoryStore(), on_renewed=save)
    grants.log_in("ann", tokens)
    source = grants.get("ann")
    with pytest.raises(LookupError, match="ann"):
        source.renew(tokens)
    assert source.token().access_token != tokens.access_token


def test_an_exception_of_on_ended_is_logged(
    generic: Twin, person: Person, caplog: pytest.LogCaptureFixture
) -> None:
    def failing_hook(subject: str | None, error: oauth_core.OAuthError) -> None:
        raise LookupError(subject)

    client, tokens = person
    grants = oauth_core.Grants(client, MemoryStore(), on_ended=failing_hook)
    grants.log_in("ann", tokens)
    generic.revoke()
    with caplog.at_level(logging.ERROR, logger="oauth_core"):
        with pytest.raises(oauth_core.DeniedError):
            grants.get("ann").renew(tokens)
    assert "on_ended failed: <class 'LookupError'> at " in caplog.text


def test_a_failing_background_hook_is_printed_without_logging_configuration(generic: Twin) -> None:
    """No logging is configured, and no caller waits for the hook: Python itself prints the error."""
    program = f"""
import oauth_core
from oauth_core.stores import MemoryStore
def save(tokens): raise RuntimeError
server = oauth_core.discover({generic.base!r}, transport="loopback_http")
client = oauth_core.Client(server, client_id={generic.data["client_id"]!r}, client_secret={generic.data["client_secret"]!r})
try: client.client_credentials(on_tokens=save).token()
except RuntimeError: print("raised")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "raised\n"
    assert done.stderr == "on_tokens failed: <class 'RuntimeError'> at <string>:4\n"
