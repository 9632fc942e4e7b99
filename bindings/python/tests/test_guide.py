"""The Python of the guide, chapter by chapter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import ROOT, Twin
from examples import examples, expected_output, run

CHAPTERS = "crates/oauth-guide/chapters"
EXAMPLES = [
    pytest.param(code, id=f"{page.stem}-{index}")
    for page in sorted((ROOT / CHAPTERS).glob("*.md"))
    for index, code in enumerate(examples(f"{CHAPTERS}/{page.name}"))
]


def test_the_guide_has_examples() -> None:
    assert len(EXAMPLES) > 10


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_prints_the_documented_output(
    twins: dict[str, Twin],
    code: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(code, twins, monkeypatch, tmp_path)
    captured = capsys.readouterr().out.splitlines()
    assert captured == expected_output(code)
    assert captured, "an example that shows nothing proves nothing"
    assert not any(os.environ["CLIENT_SECRET"] in line for line in captured)
