"""Every code of tests/errors.json, and its error class."""

from __future__ import annotations

import json
import pickle
import sys
import traceback
from typing import Any, get_args

import pytest
from conftest import CALLBACK, ROOT, server_at

import oauth_core
from oauth_core import _error_codes, errors

Record = dict[str, Any]

RECORDS: list[Record] = json.loads((ROOT / "tests/errors.json").read_text())
KINDS: dict[str, tuple[type[oauth_core.OAuthError], Any]] = {
    "denied": (oauth_core.DeniedError, _error_codes.DeniedCode),
    "malformed": (oauth_core.MalformedError, _error_codes.MalformedCode),
    "untrusted": (oauth_core.UntrustedError, _error_codes.UntrustedCode),
    "lost": (oauth_core.LostError, _error_codes.LostCode),
    "misuse": (oauth_core.MisuseError, _error_codes.MisuseCode),
}


def by_code(record: Record) -> str:
    return str(record["code"])


def client() -> oauth_core.Client:
    return oauth_core.Client(server_at("https://as.example"), client_id="id", client_secret="secret")


def begun() -> oauth_core.Exchange[oauth_core.Tokens]:
    exchange = client().exchange.client_credentials()
    next(exchange)
    return exchange


def test_the_literal_types_list_the_codes_of_the_error_table() -> None:
    for kind, (_, literal) in KINDS.items():
        codes = {record["code"] for record in RECORDS if record["kind"] == kind}
        assert codes and set(get_args(literal)) == codes
    assert len(RECORDS) == len(get_args(_error_codes.ErrorCode))
    assert {record["advice"] for record in RECORDS} == set(get_args(_error_codes.Advice))


@pytest.mark.parametrize("record", RECORDS, ids=by_code)
def test_every_code_is_an_instance_of_its_error_class(record: Record) -> None:
    beside = ("kind", "message", "hint", "javascript_hint")
    facts = {name: value for name, value in record.items() if name not in beside}
    error = errors.CLASSES[record["kind"]](record["message"], **facts)
    assert type(error) is KINDS[record["kind"]][0] and isinstance(error, oauth_core.OAuthError)
    assert vars(error) == facts and str(error) == record["message"]
    assert error.hint == record["hint"]


# Errors of APIs are tested with requests to one: test_api.py.
REFUSALS = [r for r in RECORDS if r["code"].startswith("denied.")]


@pytest.mark.parametrize("record", REFUSALS, ids=by_code)
def test_error_responses_of_the_server_raise_denied_errors_with_their_code(record: Record) -> None:
    headers = [("content-type", "application/json")]
    if record["code"] == "denied.http_challenge":
        headers.append(("www-authenticate", "Basic"))
    body = json.dumps({"error": record["error"]} if record["error"] else {}).encode()
    with pytest.raises(oauth_core.DeniedError) as caught:
        begun().send((record["status"], headers, body))
    attributes = vars(caught.value)
    assert type(caught.value) is oauth_core.DeniedError and str(caught.value) == record["message"]
    assert attributes == {name: record[name] for name in attributes}


def test_each_error_class_is_raised_for_its_kind_of_failure() -> None:
    with pytest.raises(oauth_core.MalformedError) as malformed:
        begun().send((200, [("content-type", "text/html")], b"<p>"))
    flow = client().authorize(redirect_uri=CALLBACK)
    with pytest.raises(oauth_core.UntrustedError) as untrusted:
        client().redeem(flow, CALLBACK + "?code=c&state=of-another-flow")
    with pytest.raises(oauth_core.LostError) as lost:
        begun().throw(OSError("connection reset"))
    with pytest.raises(oauth_core.MisuseError) as misuse:
        oauth_core.provider("no such provider")
    raised = [malformed.value, untrusted.value, lost.value, misuse.value]
    kinds = {record["code"]: record["kind"] for record in RECORDS}
    assert [kinds[error.code] for error in raised] == ["malformed", "untrusted", "lost", "misuse"]
    for error in raised:
        assert type(error) is KINDS[kinds[error.code]][0]


def test_a_traceback_shows_the_hint() -> None:
    with pytest.raises(oauth_core.MisuseError) as caught:
        oauth_core.discover("http://as.example")
    error = caught.value
    assert error.hint is not None
    error.add_note("a note of the application") if sys.version_info >= (3, 11) else None
    shown = "".join(traceback.format_exception(error))
    if sys.version_info >= (3, 11):
        assert shown.endswith(f"{error}\nhint: {error.hint}\na note of the application\n")
    again = pickle.loads(pickle.dumps(error))
    assert again.hint == error.hint and vars(again) == {k: v for k, v in vars(error).items() if k != "__notes__"}


def test_an_error_without_a_hint_has_no_note() -> None:
    without = next(record for record in RECORDS if record["hint"] is None)
    error = errors.CLASSES[without["kind"]]("text", code=without["code"])
    assert not hasattr(error, "__notes__")
    if sys.version_info >= (3, 11):
        error.add_note("a note of the application")
        assert error.__notes__ == ["a note of the application"]
