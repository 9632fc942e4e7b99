"""Files that the users of one group share."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, Union

import pytest

import oauth_core
from oauth_core import stores

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have no group there")

GROUP, ANN, BEN = 6200, 6201, 6202

Ours = Union[stores.FileStore, stores.SqliteStore]


@pytest.fixture
def volume() -> Iterator[Path]:
    """A folder with the group and mode that Kubernetes gives a volume with ``fsGroup``."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        volume = Path(folder, "volume")
        volume.mkdir()
        if os.geteuid() == 0:
            os.chown(volume, 0, GROUP)
        volume.chmod(0o2770)
        yield volume


def of_group(kind: str, volume: Path) -> Ours:
    if kind == "file":
        return stores.FileStore(volume, access="group")
    return stores.SqliteStore(volume / "grants.db", access="group")


def as_user(user: int, groups: list[int], work: Callable[[], object]) -> str:
    """The result of the work in a process of this user; only root can switch users."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups(groups)
                os.setgid(user)
                os.setuid(user)
            text = repr(work())
        except BaseException as error:
            text = f"{getattr(error, 'code', type(error).__name__)}: {error}"
        os.write(theirs, text.encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    return text


@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_two_users_of_one_group_share_a_grant(kind: str, volume: Path) -> None:
    def member(user: int, work: Callable[[Ours], object]) -> str:
        return as_user(user, [GROUP], lambda: work(of_group(kind, volume)))

    first = member(ANN, lambda store: store.save("k", "of-ann", 0))
    assert member(BEN, lambda store: store.load("k")) == f"({first}, 'of-ann')"
    assert member(BEN, lambda store: store.lease("k", "ben", 60)) == "None"
    assert float(member(ANN, lambda store: store.lease("k", "ann", 60))) > 0
    assert member(BEN, lambda store: store.lease("k", "ben", 0)) == "None"
    second = member(BEN, lambda store: store.save("k", "of-ben", int(first)))
    assert member(ANN, lambda store: store.load("k")) == f"({second}, 'of-ben')"
    assert {file.stat().st_mode & 0o777 for file in volume.iterdir()} == {0o660}
    assert member(ANN, lambda store: store.remove("k")) == "True"
    assert member(BEN, lambda store: store.scan()) == "([], None)"


@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_users_outside_the_group_and_world_writable_folders_are_rejected(kind: str, volume: Path) -> None:
    strict = (
        (lambda: stores.FileStore(volume))
        if kind == "file"
        else (lambda: stores.SqliteStore(volume / "grants.db"))
    )
    assert as_user(ANN, [GROUP], strict).startswith("store.setup: ")
    if os.geteuid() == 0:
        text = as_user(ANN, [], lambda: of_group(kind, volume))
        assert text.startswith("store.setup: ") and "not in" in text
    volume.chmod(0o2777)
    with pytest.raises(oauth_core.MisuseError, match="all may write") as caught:
        of_group(kind, volume)
    assert caught.value.code == "store.setup"


def test_an_unknown_access_mode_is_rejected(tmp_path: Path) -> None:
    for open in (stores.FileStore, stores.SqliteStore):
        with pytest.raises(ValueError, match="access"):
            open(tmp_path / "grants", access="all")  # type: ignore[arg-type]
