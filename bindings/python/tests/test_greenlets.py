"""gevent, whose greenlets share a thread: one that waits does not stop the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("what", ["others_run", "one_renewal", "given_up", "coroutines", "own_store", "the_end"])
def test_a_greenlet_that_waits_lets_others_run(what: str) -> None:
    # gevent patches a whole process.
    program = [sys.executable, "-B", str(Path(__file__).parent / "greenlets.py"), what]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert ended.stdout == "done\n", ended.stderr
