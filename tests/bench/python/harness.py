"""Shared by the Python measurements: alternating runs, medians, one line of JSON for each figure."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OURS = "oauth-core"

#: What changes from call to call: a constant input would be measured as a constant.
SCOPES = [
    "read",
    "write",
    "read write",
    "read profile",
    "write email",
    "read write profile",
    "read write email",
    "read write profile email",
]


def print_figure(
    what: str,
    unit: str,
    sides: Mapping[str, float],
    *,
    budget: float | None = None,
    pace: tuple[str, float] | None = None,
) -> None:
    """Prints one figure for the command that runs this.

    The budget is for our side of it; the pace is another side, and what it took on the machine
    that the budget was set on.
    """
    pairs = list(sides.items())
    row = {"what": what, "unit": unit, "sides": pairs, "budget": budget, "pace": pace}
    print(json.dumps(row), flush=True)


def run_in_turns(
    sides: Mapping[str, Callable[[int], Any]], *, rounds: int
) -> dict[str, list[Any]]:
    """Runs A B C A B C ..., each with the number of its round; the first round is not counted."""
    results: dict[str, list[Any]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, run in sides.items():
            result = run(turn)
            if turn > 0:
                results[name].append(result)
    return results


def medians(results: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in results.items()}


def medians_over(results: Mapping[str, list[float]], floor: str) -> dict[str, float]:
    """The median of each side's cost beyond that of the floor in the same round."""
    return {
        name: statistics.median(a - b for a, b in zip(values, results[floor]))
        for name, values in results.items()
        if name != floor
    }


def measure_cpu(work: Callable[[], Any]) -> float:
    """CPU seconds, user and system, of every thread of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def require_same_results(what: str, results: Mapping[str, Any]) -> None:
    """Every side must have sent the same."""
    (first, expected), *others = results.items()
    for name, value in others:
        if value != expected:
            sys.exit(f"{what}: {name} sent {value!r}, but {first} {expected!r}")


def run_script(script: str, *arguments: str) -> Any:
    """The output of a script of this folder, run in its own process."""
    command = [sys.executable, str(HERE / script), *arguments]
    completed = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(completed.stdout)


class Twin:
    """The generic twin: an authorization server on loopback, in a process of its own."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.data: dict[str, Any] = self.control("client")

    def control(self, route: str) -> Any:
        with urllib.request.urlopen(f"{self.base}/_twin/{route}") as reply:
            return json.load(reply)


@contextmanager
def twin() -> Iterator[Twin]:
    started = subprocess.Popen(
        [os.environ["OAUTH_TWINS"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert started.stdin and started.stdout
    try:
        yield Twin(json.loads(started.stdout.readline())["generic"])
    finally:
        started.stdin.close()
        started.stdout.close()
        started.wait(20)
