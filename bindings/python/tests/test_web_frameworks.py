"""Web applications in every framework, started as in production, tested with a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Callable

import pytest
from conftest import ROOT, Twin, example, process
from web_checks import CHECKS, PROGRAMS, STORED, WHO, App, running

KEEPS = {"cookie": CHECKS, "store": STORED}
TABLE = [
    pytest.param(name, keep, check, id=f"{name}/{keep}-{check}")
    for name in PROGRAMS
    for keep, checks in KEEPS.items()
    for check in checks
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], App]]:
    """Returns the requested server. Only one runs at a time, and all its checks share it."""
    with process(example("twins"), ROOT) as bases, ExitStack() as stack:
        twin = Twin(bases["generic"])
        started: dict[tuple[str, str], App] = {}

        def start(name: str, keep: str) -> App:
            if (name, keep) not in started:
                stack.close()
                started.clear()
                folder = tmp_path_factory.mktemp(name)
                server = running(name, twin, folder, keep == "store")
                started[name, keep] = stack.enter_context(server)
            return started[name, keep]

        yield start


@pytest.mark.parametrize(("name", "keep", "check"), TABLE)
def test_a_web_application_passes_the_check(
    app: Callable[[str, str], App], name: str, keep: str, check: str
) -> None:
    STORED[check](app(name, keep))


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_application_serves_its_client_metadata_document(
    generic: Twin, tmp_path: Path, name: str
) -> None:
    generic.accept_client_id_metadata()
    with running(name, generic, tmp_path, False, by_document=True) as served:
        url = f"{served.base}/oauth/client.json"
        with served.browser(follow=False) as server:
            reply = server.get(url)
            assert reply.status_code == 200 and reply.json()["client_id"] == url
            assert reply.headers["content-type"] == "application/json"
            assert reply.headers["cache-control"] == "public, max-age=300"
            assert "set-cookie" not in reply.headers
        with served.browser() as ann:
            assert ann.get("/me").text == f"{WHO} has 3"
        assert generic.entry("/token")["form"]["client_id"] == url
