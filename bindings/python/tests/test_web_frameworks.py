"""Web applications of every framework, started as their users start them, and a browser before them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT, Twin, example, process
from web_checks import CHECKS, PROGRAMS, STORED, App, running

KEEPS = {"cookie": CHECKS, "store": STORED}
# One object for all checks of a server, by which pytest knows not to start it again.
SERVERS = [(f"{name}/{keep}", checks) for name in PROGRAMS for keep, checks in KEEPS.items()]
PAIRS = [
    pytest.param(server, check, id=f"{server}-{check}") for server, checks in SERVERS for check in checks
]


@pytest.fixture(scope="module")
def provider() -> Iterator[Twin]:
    with process(example("twins"), ROOT) as bases:
        yield Twin(bases["generic"])


@pytest.fixture(scope="module")
def app(
    request: Any, provider: Twin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    name, keep = request.param.split("/")
    with running(name, provider, tmp_path_factory.mktemp(name), keep == "store") as app:
        yield app


@pytest.mark.parametrize(("app", "check"), PAIRS, indirect=["app"])
def test_a_web_application(app: App, check: str) -> None:
    STORED[check](app)
