"""Services without a client secret: platform tokens, client files, and environment variables."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer, StubServer, Twin
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import oauth_core

PLATFORM = "https://platform.test"
HIDDEN = "hunter22-secret"
TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Platform:
    """The issuer of workload tokens."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwk(self) -> dict[str, str]:
        point = self.key.public_key().public_numbers()
        x, y = (encoded(number.to_bytes(32, "big")) for number in (point.x, point.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    def token(self, audience: str, subject: str = "repo:a/b") -> str:
        now = int(time.time())
        claims = {
            "iss": PLATFORM,
            "sub": subject,
            "aud": audience,
            "iat": now,
            "exp": now + 300,
        }
        signed = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "ES256"}, claims))
        der = self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(der)
        return f"{signed}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


@pytest.fixture
def platform(generic: Twin) -> Platform:
    platform = Platform()
    generic.register_assertion_key(PLATFORM, platform.jwk)
    return platform


def github(platform: Platform) -> Answer:
    """GitHub's token service, which requires the bearer token of the job."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query)
        is_job = handler.headers["authorization"] == "Bearer job-token"
        response_body = {"value": platform.token(query["audience"][0])} if is_job else {"message": "no"}
        body = json.dumps(response_body).encode()
        handler.send_response(200 if is_job else 401)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return respond


def job(twin: Twin, service: StubServer, token: str = "job-token") -> dict[str, str]:
    return {
        "OAUTH_ISSUER": twin.base,
        "OAUTH_CLIENT_ID": "twin-client",
        "OAUTH_WORKLOAD": "github_actions",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{service.base}/idtoken?api-version=2.0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": token,
    }


def client_from_env(environ: dict[str, str], **options: Any) -> oauth_core.Client:
    return oauth_core.Client.from_env(environ=environ, transport="loopback_http", **options)


def test_a_github_job_requests_a_new_identity_token_for_each_exchange(
    generic: Twin, platform: Platform, plain: Callable[[Answer], StubServer]
) -> None:
    service = plain(github(platform))
    client = client_from_env(job(generic, service), timeout=20.0)
    assert client.client_id == "twin-client"
    token = client.client_credentials(scope="read").token()
    assert token.scope == {"read"}
    assert client.introspect(token=token.access_token).active
    assert [(method, path.split("&")[0]) for method, path, *_ in service.seen] == [
        ("GET", "/idtoken?api-version=2.0")
    ] * 2
    assert "audience=" + urllib.parse.quote(generic.base, safe="") in service.seen[0][1]

    async def later() -> oauth_core.Tokens:
        environ = job(generic, service)
        client = await oauth_core.Client.afrom_env(environ=environ, transport="loopback_http")
        return await client.client_credentials(scope="write").atoken()

    assert asyncio.run(later()).scope == {"write"}


def test_a_refusal_by_the_service_prevents_the_token_request(
    generic: Twin, platform: Platform, plain: Callable[[Answer], StubServer]
) -> None:
    client = client_from_env(job(generic, plain(github(platform)), HIDDEN))
    with pytest.raises(oauth_core.MisuseError) as refused:
        client.client_credentials().token()
    assert refused.value.code == "workload.refused"
    assert HIDDEN not in str(refused.value)
    assert generic.counters["token_requests"] == 0


def test_a_file_is_read_each_time_and_the_process_environment_is_the_default(
    generic: Twin, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "token"
    monkeypatch.setenv("OAUTH_ISSUER", generic.base)
    monkeypatch.setenv("OAUTH_CLIENT_ID", "twin-client")
    monkeypatch.setenv("OAUTH_WORKLOAD", "kubernetes")
    monkeypatch.setenv("OAUTH_WORKLOAD_FILE", str(place))
    client = oauth_core.Client.from_env(transport="loopback_http")
    with pytest.raises(oauth_core.LostError):
        client.client_credentials().token()
    place.write_text(platform.token(generic.base) + "\n")
    client.client_credentials().token()
    place.write_text(platform.token("https://other.example"))
    with pytest.raises(oauth_core.MisuseError) as foreign:
        client.client_credentials().token()
    assert foreign.value.code == "client_auth.assertion_audience"
    place.write_text(platform.token(generic.base))
    client.client_credentials().token()


def test_a_variable_is_read_each_time(
    generic: Twin, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = oauth_core.discover(generic.base, transport="loopback_http")
    auth = oauth_core.WorkloadIdentity("gitlab_ci", variable="CI_IDP_TOKEN")
    client = oauth_core.Client(server, client_id="twin-client", client_auth=auth)
    with pytest.raises(oauth_core.MisuseError, match="CI_IDP_TOKEN") as missing:
        client.client_credentials().token()
    assert missing.value.code == "environment.missing"
    monkeypatch.setenv("CI_IDP_TOKEN", platform.token(generic.base))
    client.client_credentials().token()
    monkeypatch.setenv("CI_IDP_TOKEN", platform.token("https://other.example"))
    with pytest.raises(oauth_core.MisuseError) as foreign:
        client.client_credentials().token()
    assert foreign.value.code == "client_auth.assertion_audience"
    assert "redacted" in repr(auth)


def test_an_external_account_exchanges_the_token_of_its_file(
    generic: Twin, platform: Platform, tmp_path: Path
) -> None:
    place = tmp_path / "token.json"
    account = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{generic.base}/token",
        "credential_source": {
            "file": str(place),
            "format": {"type": "json", "subject_token_field_name": "token"},
        },
    }
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account))
    client = oauth_core.Client.from_file(file, transport="loopback_http")
    place.write_text(json.dumps({"token": platform.token(generic.base)}))
    assert client.client_credentials(scope="read").token().scope == {"read"}
    place.write_text(json.dumps({"token": platform.token("https://other.example")}))
    with pytest.raises(oauth_core.DeniedError):
        client.client_credentials(scope="read").token()
    place.write_text(json.dumps({"other": HIDDEN}))
    with pytest.raises(oauth_core.MalformedError) as malformed:
        client.client_credentials(scope="read").token()
    assert malformed.value.code == "workload.malformed"
    assert HIDDEN not in str(malformed.value)
    account["service_account_impersonation_url"] = "https://iamcredentials.googleapis.com/x"
    with pytest.raises(oauth_core.MisuseError) as refused:
        oauth_core.Client.from_json(json.dumps(account))
    assert refused.value.code == "client_file.unsupported"


def test_a_token_is_exchanged_if_an_exchange_audience_is_configured(
    generic: Twin, platform: Platform, plain: Callable[[Answer], StubServer]
) -> None:
    service = plain(github(platform))
    environ = job(generic, service)
    server = oauth_core.discover(generic.base, transport="loopback_http")
    auth = oauth_core.WorkloadIdentity(
        "github_actions",
        audience=generic.base,
        exchange_audience="//pool",
        client_id="omitted",
        environ=environ,
    )
    token_exchange_client = oauth_core.Client(server, client_id="twin-client", client_auth=auth)
    assert token_exchange_client.client_credentials(scope="read").token().scope == {"read"}
    form = generic.entry("/token")["form"]
    assert form["audience"] == "//pool" and "subject_token" in form
    assert "client_assertion" not in form and "client_id" not in form
    more = {"OAUTH_EXCHANGE_AUDIENCE": "//pool", "OAUTH_ASSERTION_AUDIENCE": generic.base}
    step = next(client_from_env({**environ, **more}).exchange.client_credentials())
    assert isinstance(step, oauth_core.Send) and step.url.startswith(service.base)


def test_standard_client_files_are_recognised(tmp_path: Path) -> None:
    inner = {
        "client_id": "1.apps.googleusercontent.com",
        "client_secret": HIDDEN,
        "token_uri": "https://oauth2.googleapis.com/token",
        "redirect_uris": ["https://app.example/callback"],
    }
    google = oauth_core.Client.from_json(json.dumps({"web": inner}))
    assert google.server.issuer == "https://accounts.google.com"
    assert google.client_id == inner["client_id"]
    with pytest.raises(oauth_core.MisuseError) as refused:
        google.authorize(redirect_uri="https://other.example/callback", scope="openid")
    assert refused.value.code == "redirect_uri.not_registered"
    entra = {"clientId": "c", "clientSecret": HIDDEN, "tenantId": TENANT}
    assert TENANT in oauth_core.Client.from_json(json.dumps(entra)).server.issuer
    principal = tmp_path / "principal.json"
    # As the Azure CLI prints it, kept with an editor that puts a byte order mark before it.
    printed = {"appId": "c", "displayName": "d", "password": HIDDEN, "tenant": TENANT}
    principal.write_text(json.dumps(printed), "utf-8-sig")
    assert TENANT in oauth_core.Client.from_file(principal).server.issuer
    section: dict[str, Any] = {"ClientId": "c", "TenantId": TENANT}
    section["ClientCredentials"] = [{"SourceType": "ClientSecret", "ClientSecret": HIDDEN}]
    described = oauth_core.Client.from_json(json.dumps({"AzureAd": section}))
    next(described.exchange.client_credentials(scope="api://a/.default"))  # a public client is refused here
    section["ClientCredentials"] = [{"SourceType": "SignedAssertionFilePath"}]
    with pytest.raises(oauth_core.MisuseError) as unsupported:
        oauth_core.Client.from_json(json.dumps({"AzureAd": section}))
    assert unsupported.value.code == "client_file.unsupported"
    for client in [google, oauth_core.Client.from_json(json.dumps(entra))]:
        assert HIDDEN not in repr(client)
    with pytest.raises(oauth_core.MisuseError) as error:
        oauth_core.Client.from_file(tmp_path / "gone.json")
    assert error.value.code == "client_file.unreadable"


def test_errors_name_the_problem_without_secrets(generic: Twin) -> None:
    def refused(file: Any) -> oauth_core.MisuseError:
        with pytest.raises(oauth_core.MisuseError) as refused:
            oauth_core.Client.from_json(file if isinstance(file, str) else json.dumps(file))
        assert HIDDEN not in f"{refused.value} {refused.value!r}"
        return refused.value

    issuer = {"issuer": "https://as.example", "client_id": "c"}
    for file, named in [
        (HIDDEN, "JSON"),
        ({"issuer": "https://as.example", "client_secret": HIDDEN}, "client_id"),
        ({**issuer, "client_secert": HIDDEN}, "client_secert"),
        ({**issuer, "client_secret": HIDDEN, "private_key": HIDDEN}, "not several"),
    ]:
        error = refused(file)
        assert (error.code, named in str(error)) == ("client_file.malformed", True)
    for environ, code, named in [
        ({}, "environment.missing", "OAUTH_ISSUER or OAUTH_PROVIDER"),
        ({"OAUTH_ISSUER": generic.base}, "environment.missing", "OAUTH_CLIENT_ID"),
        (
            {
                "OAUTH_ISSUER": generic.base,
                "OAUTH_CLIENT_ID": "c",
                "OAUTH_CLIENT_SECRET": HIDDEN,
                "OAUTH_WORKLOAD": "gcp",
            },
            "environment.conflict",
            "OAUTH_CLIENT_SECRET and OAUTH_WORKLOAD",
        ),
        (
            {"OAUTH_ISSUER": generic.base, "OAUTH_CLIENT_ID": "c", "OAUTH_WORKLOAD": "heroku"},
            "workload.setup",
            "heroku",
        ),
    ]:
        with pytest.raises(oauth_core.MisuseError) as missing:
            client_from_env(environ)
        assert (missing.value.code, named in str(missing.value)) == (code, True)
        assert HIDDEN not in str(missing.value)


def test_environment_variables_configure_a_client_with_a_secret(generic: Twin, tmp_path: Path) -> None:
    data = generic.data
    environ = {"OAUTH_ISSUER": generic.base, "OAUTH_CLIENT_ID": data["client_id"]}
    secret = tmp_path / "secret"
    secret.write_text(data["client_secret"] + "\n")
    for more in [
        {"OAUTH_CLIENT_SECRET": data["client_secret"]},
        {"OAUTH_CLIENT_SECRET_FILE": str(secret)},
    ]:
        client = client_from_env({**environ, **more}, headers={"x-team": "a"})
        assert client.client_credentials(scope="read").token().scope == {"read"}
        assert generic.entry("/token")["headers"]["x-team"] == "a"
    file = tmp_path / "client.json"
    file.write_text(
        json.dumps(
            {
                "issuer": generic.base,
                "client_id": data["client_id"],
                "client_secret": data["client_secret"],
            }
        )
    )
    client = client_from_env({"OAUTH_CLIENT_FILE": str(file)})
    assert client.client_credentials(scope="read").token().scope == {"read"}
