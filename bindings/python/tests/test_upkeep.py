"""Maintenance of idle grants."""

from __future__ import annotations

import json

import pytest
from test_keeper import NOW, REPLY, expired_tokens, moment, offline, result_after

import oauth_core


def tokens_with_expirations(**members: int) -> oauth_core.Tokens:
    """Tokens received six days ago with these expiration times, and a valid access token."""
    stored = json.loads(expired_tokens().serialize())
    received_at = NOW - 6 * 24 * 3600
    stored |= {"received_at": received_at, "expires_in": NOW - received_at + 3600} | members
    return oauth_core.Tokens.deserialize(json.dumps(stored))


def test_an_idle_grant_is_kept_alive_only_if_configured() -> None:
    tokens = tokens_with_expirations(refresh_token_use_by=NOW + 3600)
    assert tokens.refresh_token_expires_at is not None
    assert tokens.refresh_token_expires_at.timestamp() == NOW + 3600
    idle = offline().keeper(tokens, shared=False, moment=moment)
    assert idle.upkeep_after is None and idle.upkeep() is None
    keeper = offline().keeper(tokens, shared=False, keep_alive=24 * 3600, moment=moment)
    assert keeper.upkeep_after == 0 and keeper.upkeep() == "renew"
    assert keeper.ask().kind == "use_token"
    renewal = keeper.renewal()
    exchange = next(renewal)
    assert isinstance(exchange, oauth_core.Exchange)
    step = next(exchange)
    assert isinstance(step, oauth_core.Send) and b"refresh_token=rt-1" in step.body
    with pytest.raises(StopIteration):
        exchange.send(REPLY)
    assert result_after(renewal, None).access_token == "at-2"
    assert keeper.upkeep_after is None and keeper.upkeep() is None


def test_the_end_of_an_authorization_is_reported_once() -> None:
    tokens = tokens_with_expirations(authorization_until=NOW + 24 * 3600)
    assert tokens.authorization_expires_at is not None and tokens.refresh_token_expires_at is None
    later = offline().keeper(tokens, shared=False, notice=3600, moment=moment)
    assert later.upkeep_after == 23 * 3600 and later.upkeep() is None
    keeper = offline().keeper(tokens, shared=False, moment=moment)
    assert keeper.upkeep() == tokens.authorization_expires_at
    assert keeper.upkeep_after is None and keeper.upkeep() is None
