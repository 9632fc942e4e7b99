"""Plays conversations for the judge of tests/vectors: one a line in, one transcript a line out.

It drives the installed package through its public names, and knows no protocol and no answer.
"""

from __future__ import annotations

import functools
import json
import sys
import tempfile
import traceback
from collections.abc import Generator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx

import oauth_core
import oauth_core.httpx
from oauth_core import _record, _reply_body

Json = dict[str, Any]

AUTH: dict[str, Any] = {
    "none": lambda secret: oauth_core.Public(),
    "client_secret_basic": oauth_core.ClientSecretBasic,
    "client_secret_post": oauth_core.ClientSecretPost,
    "client_secret_jwt": oauth_core.ClientSecretJwt,
    "private_key_jwt": oauth_core.PrivateKeyJwt,
    "tls_client_auth": lambda secret: oauth_core.TlsClientAuth(),
}


class Party:
    """One conversation: what was made of its configuration, and what it left behind so far."""

    def __init__(self, conversation: Json, folder: Path) -> None:
        self.conversation = conversation
        self.file = folder / "assertion"
        self.exchange: Generator[Any, Any, Any] | None = None
        self.flow: oauth_core.PendingAuthorization | None = None
        self.tokens: oauth_core.Tokens | None = None
        self.verifier: oauth_core.Client | None = None
        self.assertions: list[str | None] = []
        self.at: tuple[float, bytes] = (0, bytes(32))
        self.shown: list[str] = []

    def moment(self) -> tuple[float, bytes]:
        return self.at

    def server(self) -> oauth_core.Server:
        config = self.conversation["server"]
        if config["preset"] is not None:
            return oauth_core.provider(
                config["preset"], options=config["options"], **config["variables"]
            )
        return oauth_core.Server.from_metadata(config["issuer"], config["metadata"])

    def client(self) -> oauth_core.Client:
        config = self.conversation["client"]
        more: Json = {"client_secret": config["secret"]}
        if config["auth"] == "assertion_source":
            several = len(self.assertions) > 1
            source = oauth_core.FederatedAssertion(
                self.assertion if several else self.file, **config["auth_options"]
            )
            more = {"client_auth": source}
        elif config["auth"] == "workload":
            options = dict(config["auth_options"])
            environ = options.pop("variables")
            auth = oauth_core.WorkloadIdentity(options.pop("platform"), environ=environ, **options)
            more = {"client_auth": auth}
        elif config["auth"] is not None:
            auth = AUTH[config["auth"]](config["secret"], **config["auth_options"])
            more = {"client_auth": auth}
        if config["dpop"] is not None:
            more["dpop_key"] = oauth_core.DpopKey.generate(config["dpop"])
        registration = dict(config["registration"])
        if "network_certificate" in registration:
            more["network"] = oauth_core.Network(client_certificate=registration.pop("network_certificate"))
        client = oauth_core.Client(
            self.server(),
            client_id=config["id"],
            redirect_uris=config["redirect_uris"],
            headers=config["headers"],
            **registration,
            **more,
        )
        self.show(client, client.server, client.exchange)
        return client

    def verifying(self) -> oauth_core.Client:
        """The client that keeps the server's keys, nonces, and the logout tokens it was told."""
        if self.verifier is None:
            self.verifier = self.client()
        return self.verifier

    def assertion(self, _: object) -> str:
        """One after the other, the last forever."""
        token = self.assertions.pop(0) if len(self.assertions) > 1 else self.assertions[0]
        assert token is not None
        return token

    def do_source(self, tokens: list[str | None]) -> str:
        self.assertions = tokens
        if tokens[0] is None:
            self.file.unlink(missing_ok=True)
        else:
            self.file.write_text(tokens[0], newline="")
        return "open"

    def show(self, *objects: object) -> None:
        self.shown += [text for thing in objects for text in (str(thing), repr(thing))]

    def turn(self, turn: Json) -> Json:
        self.at = (turn["now"], bytes.fromhex(turn["seed"]))
        self.shown = []
        try:
            output = self.take(turn["input"], turn["hold"])
        except oauth_core.OAuthError as error:
            output = {"error": self.error(error)}
        except Exception as error:
            output = {"threw": repr(error)}
        return {"said": output, "shown": self.shown}

    def error(self, error: oauth_core.OAuthError) -> Json:
        under = [error.__cause__] if error.__cause__ else []
        self.show(error, *under)
        self.shown += traceback.format_exception_only(type(error), error)
        return {
            "kind": type(error).__name__.removesuffix("Error").lower(),
            "message": str(error),
            "code": error.code,
            "advice": error.advice,
            "retry_after": error.retry_after,
            "endpoint": error.endpoint,
            "status": error.status,
            "error": error.error,
            "error_description": error.error_description,
            "extra": error.extra,
            "response_status": error.response_status,
            "challenge": error.challenge,
        }

    def take(self, turn_input: str | Json, hold: bool) -> str | Json:
        data: Any
        name, data = (turn_input, {}) if isinstance(turn_input, str) else next(iter(turn_input.items()))
        call = getattr(self, f"call_{name}", None)
        if call is None and hasattr(oauth_core.Exchanges, name):
            call = functools.partial(self.operation, name)
        if call is not None:
            self.exchange = call(**data)
            return "open" if hold else self.step(lambda exchange: next(exchange))
        if name == "source":
            return self.do_source(data)
        if name in ("server", "authorize", "attach", "verdict", "step_up", "call_api"):
            output: Json = getattr(self, f"do_{name}")(**data)
            return output
        return self.step(lambda exchange: self.resume(exchange, name, data))

    def step(self, act: Any) -> str | Json:
        assert self.exchange is not None
        try:
            step = act(self.exchange)
        except StopIteration as done:
            return {"done": self.done(done.value)}
        self.show(step, self.exchange)
        if isinstance(step, oauth_core.Send):
            body = step.body.decode()
            parts = {"method": step.method, "url": step.url, "headers": step.headers, "body": body}
            return {"send": parts}
        return {"sleep": step.seconds} if isinstance(step, oauth_core.Sleep) else "sign"

    def resume(self, exchange: Any, name: str, data: Any) -> Any:
        if name == "begin":
            return next(exchange)
        if name == "elapsed":
            return exchange.send(None)
        if name == "signed":
            return exchange.send(bytes.fromhex(data))
        if name == "lost" and data != "too_large":
            # One says that nothing was sent, and not why; the other says nothing.
            lost = httpx.PoolTimeout if data == "unsent" else OSError
            return exchange.throw(lost(data))
        if name == "lost":
            return exchange.send((200, [], bytes(_reply_body.MAX_BODY_BYTES + 1)))
        headers = [(field.encode(), value.encode()) for field, value in data["headers"]]
        return exchange.send((data["status"], headers, data["body"].encode()))

    def done(self, value: Any) -> str | Json:
        if value is None:
            return "nothing"
        self.show(value)
        if isinstance(value, _record.Record):
            return {"record": members(value)}
        if isinstance(value, oauth_core.Server):
            return {"server": self.of_server(value)}
        if isinstance(value, oauth_core.PendingAuthorization):
            return {"authorized": {"url": value.url, "expires_in": value.expires_in}}
        self.tokens = value
        end = value.expires_at
        names = "access_token token_type expires_in refresh_token id_token extra warnings issuer"
        fields = {name: getattr(value, name) for name in [*names.split(), "client_id"]}
        fields.update(
            stored=value.serialize(),
            scope=list(value.scope),
            received_at=int(value.received_at.timestamp()),
            expires_at=None if end is None else int(end.timestamp()),
            refresh_token_use_by=to_json_value(value.refresh_token_expires_at),
            authorization_until=to_json_value(value.authorization_expires_at),
        )
        return {"tokens": fields}

    def of_server(self, server: oauth_core.Server) -> Json:
        origins = list(server.api_origins)
        return {"issuer": server.issuer, "metadata": server.metadata, "api_origins": origins}

    def do_server(self) -> Json:
        return {"server": self.of_server(self.server())}

    def do_authorize(
        self,
        redirect_uri: str,
        scope: str,
        response_type: Any,
        response_mode: Any,
        extra: dict[str, str],
        resource: list[str],
        authorization_details: Any,
        request_uri: str | None,
        step_up: Json | None,
        context: str | None,
        user: str | None,
        drawn: object,
    ) -> Json:
        self.flow = self.client().authorize(
            redirect_uri=redirect_uri,
            scope=scope,
            response_type=response_type or "code",
            response_mode=response_mode,
            extra=extra,
            resource=resource,
            authorization_details=authorization_details,
            request_uri=request_uri,
            step_up=step_up,
            context=context,
            user=user,
            tokens=self.tokens if step_up else None,
            moment=self.moment,
        )
        self.show(self.flow)
        return {"authorized": {"url": self.flow.url, "flow": self.flow.serialize()}}

    def do_attach(
        self, url: str, headers: dict[str, str], body: str | None, origins: Any, tokens: Any
    ) -> Json:
        resource = self.client().client_credentials().resource(origins)
        self.show(resource)
        content = None if body is None else body.encode()
        header = resource.authorization(
            self.current_tokens(tokens), url, headers=headers.items(), body=content
        )
        return {"attached": header}

    def do_call_api(
        self,
        method: str,
        url: str,
        body: str | None,
        streams: bool,
        origins: list[str],
        tokens: str,
        replies: list[Json],
    ) -> Json:
        sent: list[Json] = []

        def respond(request: httpx.Request) -> httpx.Response:
            content = request.read()
            fields = [(name.lower(), value) for name, value in request.headers.items()]
            parts = {"method": request.method, "url": str(request.url), "headers": fields}
            sent.append({**parts, "body": content.decode()})
            if len(sent) > len(replies):
                raise httpx.ConnectError("there is no other reply")
            reply = replies[len(sent) - 1]
            return httpx.Response(
                reply["status"], headers=reply["headers"], content=reply["body"].encode()
            )

        source = self.verifying().source(self.current_tokens(tokens))
        auth = oauth_core.httpx.Auth(source, origins=origins)
        self.show(source, auth)
        content = None if body is None else iter([body.encode()]) if streams else body.encode()
        transport = httpx.MockTransport(respond)
        status, error_record = None, None
        with httpx.Client(transport=transport, auth=auth, follow_redirects=True) as http:
            try:
                status = http.request(method, url, content=content).status_code
            except oauth_core.OAuthError as error:
                error_record = self.error(error)
            except httpx.ConnectError:
                pass
        return {"called": {"sent": sent, "status": status, "error": error_record}}

    def do_verdict(self, status: int, headers: list[list[str]]) -> Json:
        name = oauth_core.Resource.verdict(status, [(field, value) for field, value in headers])
        return {"verdict": {"renews": name == "renew", "name": name}}

    def do_step_up(self, status: int, challenges: list[str]) -> Json:
        return {"step_up": oauth_core.step_up(status, challenges)}

    def current_tokens(self, stored: str | None) -> oauth_core.Tokens:
        tokens = self.tokens if stored is None else oauth_core.Tokens.deserialize(stored)
        assert tokens is not None
        self.show(tokens)
        return tokens

    def token(self, token: str | None, hint: str | None) -> str:
        if token is not None:
            return token
        held = getattr(self.current_tokens(None), hint or "access_token")
        assert isinstance(held, str)
        return held

    def operation(self, name: str, **options: Any) -> Any:
        """Runs an operation of the table; without tokens among the arguments, with the current ones."""
        if "tokens" in options:
            options["tokens"] = self.current_tokens(options["tokens"])
        if "token" in options:
            options["token"] = self.token(options["token"], options.get("token_type_hint"))
        if isinstance(options.get("expires_at"), int):
            options["expires_at"] = datetime.fromtimestamp(options["expires_at"], timezone.utc)
        lasts = name.startswith(("verify_", "take_")) or self.conversation["client"]["dpop"] is not None
        client = self.verifying() if lasts else self.client()
        return getattr(client.exchange, name)(**options, moment=self.moment)

    def call_redeem(self, callback: str, flow: str | None) -> Any:
        client = self.verifying()
        held = self.flow if flow is None else oauth_core.PendingAuthorization.deserialize(flow)
        assert held is not None
        self.show(held)
        return client.exchange.redeem(held, callback, moment=self.moment)

    def call_redeem_at(self, callback: str, context: str | None, user: str | None) -> Any:
        assert self.flow is not None
        self.show(self.flow)
        exchange = self.verifying().exchange
        return exchange.redeem(
            self.flow, callback, context=context, user=user, moment=self.moment
        )

    def call_discover(self, issuer: str, transport: Any) -> Any:
        return oauth_core.discover_exchange(issuer, transport=transport, moment=self.moment)


def members(record: _record.Record) -> Json:
    """The members that are neither None nor empty."""
    fields = {name: getattr(record, name) for name in record.__slots__}
    return {name: to_json_value(value) for name, value in fields.items() if value not in (None, (), {}, frozenset())}


def to_json_value(value: Any) -> Any:
    if isinstance(value, _record.Record):
        return members(value)
    if isinstance(value, dict):
        return {name: to_json_value(member) for name, member in value.items()}
    if isinstance(value, datetime):
        return int(value.timestamp())
    return sorted(value) if isinstance(value, frozenset) else value


def main() -> None:
    place = Path(oauth_core.__file__).resolve()
    if not place.is_relative_to(Path(sys.prefix).resolve()):
        sys.exit(f"{place} is not the installed package")
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            conversation = json.loads(line)
            party = Party(conversation, Path(folder))
            print(json.dumps([party.turn(turn) for turn in conversation["talk"]]), flush=True)


if __name__ == "__main__":
    main()
