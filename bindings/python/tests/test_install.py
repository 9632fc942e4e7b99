"""The wheel and the source distribution, each installed alone with pip."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

from conftest import ROOT, Twin

DIST = Path(os.environ.get("OAUTH_DIST", ROOT / "target/python/dist"))
README = (ROOT / "bindings/python/README.md").read_text()

# Only what the interpreter brings: the environment has nothing else.
RUN = """
import json, sys
import oauth_core

real, (base, code, names) = oauth_core.provider, json.load(sys.stdin)
oauth_core.provider = lambda name: real(name, loopback=base)
exec(compile(code, "README.md", "exec"), names)
print(oauth_core.__file__)
"""


def single_file(pattern: str) -> Path:
    (found,) = DIST.glob(pattern)
    return found


def create_venv(folder: Path) -> Path:
    """Creates an empty environment; returns its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin/python"


def first_example_runs(python: Path, twin: Twin, folder: Path) -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found
    code = found.group(1).replace("https://api.use2.usertesting.com", twin.base)
    names = {"ID": twin.data["client_id"], "SECRET": twin.data["client_secret"]}
    done = subprocess.run(
        [python, "-I", "-c", RUN],
        input=json.dumps([twin.base, code, names]),
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(python.parents[1]) in done.stdout


def test_the_wheel_installs_without_dependencies_and_runs_the_readme_example(twins: dict[str, Twin], tmp_path: Path) -> None:
    python = create_venv(tmp_path / "venv")
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", DIST]
    subprocess.run([*pip, "--only-binary", ":all:", "oauth-core"], check=True, cwd=tmp_path)
    first_example_runs(python, twins["usertesting"], tmp_path)


def test_a_ten_line_tool_runs_with_only_the_wheel_and_prompts_the_user_once(generic: Twin, tmp_path: Path) -> None:
    """The tool of the guide, with only the wheel: the user signs in on the first run only."""
    python = create_venv(tmp_path / "venv")
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", DIST]
    subprocess.run([*pip, "--only-binary", ":all:", "oauth-core"], check=True, cwd=tmp_path)
    chapter = (ROOT / "crates/oauth-guide/chapters/without_a_browser.md").read_text()
    found = re.search(r"### One that asks once\n.*?```python\n(.*?)```", chapter, re.DOTALL)
    assert found and len([line for line in found.group(1).splitlines() if line]) <= 10
    folder = tmp_path / "tool"
    folder.mkdir()
    (tmp_path / "tool.py").write_text(found.group(1))
    visit = tmp_path / "visit.py"
    visit.write_text("import sys, urllib.request\nurllib.request.urlopen(sys.argv[1]).read()\n")
    environ = {"ISSUER": generic.base, "BROWSER": f"{sys.executable} {visit} %s", "PATH": os.environ["PATH"]}
    for _ in range(2):
        done = subprocess.run(
            [python, "-I", tmp_path / "tool.py"], cwd=folder, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "['offline_access', 'read']\n"
    requests = [entry["path"] for entry in generic.log]
    assert requests.count("/device_authorization") == 1
    assert [path.name for path in folder.iterdir()] == ["tokens"]


def test_the_wheel_supports_python_39_and_later() -> None:
    wheel = single_file("*.whl")
    print(f"{wheel.name}: {wheel.stat().st_size} bytes")
    _, _, *tags = wheel.stem.split("-")
    assert tags[:2] == ["cp39", "abi3"]


def test_the_source_distribution_contains_everything_needed_to_build() -> None:
    with tarfile.open(single_file("*.tar.gz")) as packed:
        names = {name.split("/", 1)[1] for name in packed.getnames() if "/" in name}
    crates = ("oauth-core", "oauth-facade", "oauth-providers", "oauth-reqwest", "oauth-session")
    expected = {f"crates/{name}/Cargo.toml" for name in crates} | {
        "Cargo.lock",
        "pyproject.toml",
        "PKG-INFO",
        "bindings/python/Cargo.toml",
        "python/oauth_core/py.typed",
        "python/oauth_core/_native.pyi",
    }
    assert expected <= names
    presets = {path.name for path in (ROOT / "crates/oauth-providers/providers").glob("*.toml")}
    assert {f"crates/oauth-providers/providers/{name}" for name in presets} <= names
