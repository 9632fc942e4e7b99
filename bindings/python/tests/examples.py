"""Examples of the documentation, run as they stand, with the servers moved to the twins."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Twin, approve

import oauth_core

REAL = {
    "socios": "https://api-public.socios.com",
    "uservoice": "https://acme.uservoice.com",
    "usertesting": "https://api.use2.usertesting.com",
    "usertesting-apps": "https://api.use2.usertesting.com",
}
"""Where the API of each system is."""


def examples(page: str) -> list[str]:
    """The Python of a page, by its path in the repository. What is marked otherwise is not ours to run."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def promised(code: str) -> list[str]:
    """What an example says that it prints: the comment behind each print that stands at its left."""
    return re.findall(r"^ *print\(.*\)  # (.+)$", code, re.MULTILINE)


def run(
    code: str, twins: dict[str, Twin], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Runs an example in a folder of its own, with the credentials of the system that it names."""
    shutil.copy(ROOT / "crates/oauth-guide/chapters/acme.toml", folder)
    monkeypatch.chdir(folder)
    real, real_file = oauth_core.provider, oauth_core.provider_file

    def moved(name: str, **variables: str) -> oauth_core.Server:
        return real(name, loopback=twins[name].base, **variables)

    monkeypatch.setattr(oauth_core, "provider", moved)
    generic = twins["generic"]
    monkeypatch.setattr(
        oauth_core,
        "provider_file",
        lambda place, **values: real_file(place, loopback=generic.base, **values),
    )
    monkeypatch.setenv("ISSUER", generic.base)
    for name in ("client_id", "client_secret"):
        monkeypatch.setenv(name.upper(), generic.data[name])
    named = next((name for name in REAL if f'provider("{name}"' in code), "usertesting")
    twin = twins[named]
    data = twin.data
    monkeypatch.setenv("API_TOKEN", twin.console_token())
    monkeypatch.setenv("UV_TOKEN", twin.console_token())
    names: dict[str, Any] = {
        "ID": data["client_id"],
        "SECRET": data["client_secret"],
        "GUID": data["issuer"].rsplit("/", 1)[1],
        "session": {},
        "approve": approve,
    }
    code = code.replace(REAL[named], twin.base)
    exec(compile(code, "example", "exec"), names)  # noqa: S102
