"""gevent: a waiting greenlet does not block the others on its thread."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("what", ["others_run", "one_renewal", "given_up", "coroutines", "own_store", "end_of_process"])
def test_a_waiting_greenlet_does_not_block_others(what: str) -> None:
    # gevent patches a whole process.
    program = [sys.executable, "-B", str(Path(__file__).parent / "greenlets.py"), what]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert ended.stdout == "done\n", ended.stderr
