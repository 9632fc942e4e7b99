"""The examples of the documentation, run unchanged except that the servers are twins."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Twin, approve, browse, mcp_server

import oauth_core

LIVE_APIS = {
    "socios": "https://api-public.socios.com",
    "uservoice": "https://acme.uservoice.com",
    "usertesting": "https://api.use2.usertesting.com",
    "usertesting-apps": "https://api.use2.usertesting.com",
}
"""The URL of each live system's API."""

ON_THIS_MACHINE = 'transport="loopback_http", network=oauth_core.Network(addresses="any")'
"""Options for a third-party server on this machine."""


def examples(page: str) -> list[str]:
    """The Python of a page, by its path in the repository. What is marked otherwise is not ours to run."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def expected_output(code: str) -> list[str]:
    """The output that an example states: the comment after each `print`."""
    return re.findall(r"^ *print\(.*\)  # (.+)$", code, re.MULTILINE)


LOOPBACK = 'transport="loopback_http"'
"""The option that allows a provider and a site on this machine."""


def web_settings(twin: Twin) -> dict[str, str]:
    """The environment of a web application."""
    return {
        "OAUTH_ISSUER": twin.base,
        "OAUTH_CLIENT_ID": twin.data["client_id"],
        "OAUTH_CLIENT_SECRET": twin.data["client_secret"],
        "OAUTH_BASE_URL": "http://127.0.0.1:8000",
        "OAUTH_KEY": base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("="),
    }


@contextmanager
def mcp_url(code: str) -> Iterator[str]:
    """The URL of an MCP server, if the example needs one."""
    if "mcp" not in code:
        yield ""
        return
    with mcp_server("python") as server_info:
        yield server_info["url"]


def open_in_background(url: str) -> bool:
    browse(url)
    return True


def run(
    code: str, twins: dict[str, Twin], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Runs an example in a folder of its own, with the credentials of the system that it names."""
    shutil.copy(ROOT / "crates/oauth-guide/chapters/acme.toml", folder)
    monkeypatch.chdir(folder)
    real, real_file = oauth_core.provider, oauth_core.provider_file

    def provider_at_twin(name: str, **variables: str) -> oauth_core.Server:
        # Examples with a system that has no twin send no requests.
        moved = {"loopback": twins[name].base} if name in twins else {}
        return real(name, **moved, **variables)

    monkeypatch.setattr(oauth_core, "provider", provider_at_twin)
    generic = twins["generic"]
    monkeypatch.setattr(
        oauth_core,
        "provider_file",
        lambda place, **values: real_file(place, loopback=generic.base, **values),
    )
    monkeypatch.setenv("ISSUER", generic.base)
    if "oauth_core.web" in code:
        for name, value in web_settings(generic).items():
            monkeypatch.setenv(name, value)
        code = code.replace("from_env(app", f"from_env(app, {LOOPBACK}")
    bank = twins["fapi"]
    monkeypatch.setenv("BANK_CLIENT_ID", bank.data["client_id"])
    monkeypatch.setenv("BANK_KEY", bank.data["client_key"])
    code = code.replace('discover("https://bank.example")', f'discover("{bank.base}", {LOOPBACK})')
    code = code.replace("https://bank.example/api", f"{bank.base}/api")
    code = code.replace('origins=["https://bank.example"]', f'origins=["{bank.base}"]')
    for name in ("client_id", "client_secret"):
        monkeypatch.setenv(name.upper(), generic.data[name])
    system = next((name for name in LIVE_APIS if f'provider("{name}"' in code), "usertesting")
    twin = twins[system]
    data = twin.data
    monkeypatch.setenv("API_TOKEN", twin.console_token())
    monkeypatch.setenv("UV_TOKEN", twin.console_token())
    names: dict[str, Any] = {
        # Flask looks for its module.
        "__name__": __name__,
        "ID": data["client_id"],
        "SECRET": data["client_secret"],
        "GUID": data["issuer"].rsplit("/", 1)[1],
        "session": {},
        "approve": approve,
    }
    code = code.replace(LIVE_APIS[system], twin.base)
    # Every opened browser is headless.
    monkeypatch.setenv("DISPLAY", ":1")
    monkeypatch.setattr("webbrowser.open", open_in_background)
    with mcp_url(code) as url:
        if url:
            monkeypatch.setenv("MCP_URL", url)
        code = code.replace('"https://mcp.example/mcp"', f'"{url}", {ON_THIS_MACHINE}')
        exec(compile(code, "example", "exec"), names)  # noqa: S102
