"""The contexts of an application that is connected to several servers, tools or tenants."""

from __future__ import annotations

import pytest

import oauth_core
from oauth_core import ConnectionContext, check_contexts, redirect_uri_of_context

ISSUER = "https://as.example"
CB = "https://app.example/cb"
# Its callbacks contain iss.
NAMED: dict[str, object] = {"issuer": ISSUER, "authorization_response_iss_parameter_supported": True}
UNNAMED: dict[str, object] = {"issuer": ISSUER}


def context(
    id: str, owner: str = "o", *, metadata: dict[str, object] = NAMED, client_id: str = "app", uri: str = CB
) -> ConnectionContext:
    client = oauth_core.Client(oauth_core.Server.from_metadata(ISSUER, metadata), client_id=client_id)
    return ConnectionContext(id, owner=owner, client=client, redirect_uri=uri)


def refusal(*contexts: ConnectionContext) -> tuple[str, str]:
    with pytest.raises(oauth_core.MisuseError) as error:
        check_contexts(contexts)
    return error.value.code, str(error.value)


def test_contexts_of_different_owners_may_not_share_a_registration() -> None:
    check_contexts([context("a", "one"), context("b", "one")])
    check_contexts([context("a", "one"), context("b", "two", client_id="other")])
    code, message = refusal(context("a", "one"), context("b", "two"))
    assert code == "registration.shared"
    assert "a and b" in message


def test_contexts_may_share_a_redirect_uri_only_if_the_issuer_sends_iss() -> None:
    alone = f"{CB}/b"
    for first, second in [(UNNAMED, UNNAMED), (NAMED, UNNAMED), (UNNAMED, NAMED)]:
        code, _ = refusal(context("a", metadata=first), context("b", metadata=second))
        assert code == "redirect_uri.shared"
        check_contexts([context("a", metadata=first), context("b", metadata=second, uri=alone)])


def test_a_distinct_redirect_uri_is_derived_for_contexts_whose_issuer_sends_no_iss() -> None:
    servers = [oauth_core.Server.from_metadata(ISSUER, metadata) for metadata in (UNNAMED, NAMED)]
    assert [server.needs_distinct_redirect_uri for server in servers] == [True, False]
    assert redirect_uri_of_context(CB, "b") == f"{CB}/b"
    assert redirect_uri_of_context(f"{CB}?x=1", "tenant 1/crm") == f"{CB}/tenant%201%2Fcrm?x=1"
    check_contexts([context(id, metadata=UNNAMED, uri=redirect_uri_of_context(CB, id)) for id in ("a", "b")])
    for uri, id, code in [
        *((CB, id, "context.identifier") for id in ["", ".", "..", "x" * 257]),
        ("http://app.example/cb", "a", "redirect_uri.refused"),
    ]:
        with pytest.raises(oauth_core.MisuseError) as error:
            redirect_uri_of_context(uri, id)
        assert error.value.code == code
    with pytest.raises(TypeError):
        redirect_uri_of_context(CB, 1)  # type: ignore[arg-type]


def test_context_identifiers_must_be_valid_and_unique() -> None:
    assert refusal(context("a"), context("a"))[0] == "context.identifier"
    for id in ["", ".", "..", "x" * 257]:
        with pytest.raises(oauth_core.MisuseError) as error:
            context(id)
        assert error.value.code == "context.identifier"
    with pytest.raises(oauth_core.MisuseError) as error:
        context("a", uri="http://app.example/cb")
    assert error.value.code == "redirect_uri.refused"
    with pytest.raises(TypeError):
        check_contexts(["a"])  # type: ignore[list-item]


def test_a_context_exposes_its_members_and_has_a_short_repr() -> None:
    made = context("tenant-1/crm", "tenant-1")
    assert (made.id, made.owner, made.redirect_uri) == ("tenant-1/crm", "tenant-1", CB)
    assert repr(made) == '<oauth_core.ConnectionContext "tenant-1/crm">'
