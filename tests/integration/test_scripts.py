"""The scripts' own messages; that they install and run is seen by whoever runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def call(*command: str | Path, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": os.defpath, **extra},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The scripts, in a project that has never been installed."""
    (tmp_path / "scripts").mkdir()
    for name in ("run", "test", "environment.sh"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts" / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("script", ["scripts/run", "scripts/test", ".ci/run"])
def test_help_from_anywhere(script: str, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(ROOT / script)
    for command in (ROOT / script, link):
        done = call(command, "--help", cwd=tmp_path)
        assert done.returncode == 0
        assert done.stdout.startswith("Usage: scripts/")
        assert done.stderr == ""


def test_an_old_python_is_refused(copy: Path, tmp_path: Path) -> None:
    done = call(copy / "scripts" / "run", cwd=tmp_path, PYTHON="/bin/false")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert not (copy / ".venv").exists()


def test_a_python_without_venv_is_told_what_to_install(copy: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare-python"
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\nexec python3 "$@"\n')
    bare.chmod(0o755)
    done = call(copy / "scripts" / "run", cwd=tmp_path, PYTHON=str(bare))
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr


def test_a_failed_stage_fails_the_run_and_the_others_still_run(copy: Path) -> None:
    """With an environment of stand-ins, so that only the script's own logic runs."""
    tools = copy / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name, code in (("ruff", 1), ("mypy", 0), ("parley", 0), ("python", 5)):
        (tools / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tools / name).chmod(0o755)
    (copy / "tests" / "unit").mkdir(parents=True)
    (copy / "tests" / "unit" / "test_a.py").touch()
    stamp = call(
        "bash", "-c", f'root="{copy}"; . scripts/environment.sh; fingerprint', cwd=copy
    ).stdout
    (copy / ".venv" / "stamp-dev").write_text(stamp)
    done = call(copy / "scripts" / "test", "lint", "types", "unit", "api", cwd=copy)
    assert done.returncode == 1
    summary = done.stdout.partition("=== summary ===\n")[2].splitlines()
    assert [line.split()[:2] for line in summary] == [
        ["lint", "FAILED"],
        ["types", "passed"],
        ["unit", "passed"],  # pytest's 5: the arguments chose no test
        ["api", "passed"],
    ]
    assert call(copy / "scripts" / "test", "types", cwd=copy).returncode == 0
