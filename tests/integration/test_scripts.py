"""The scripts' own messages; that they install and run is seen by whoever runs them."""

from __future__ import annotations

import os
import re
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


@pytest.fixture
def installed(copy: Path) -> Path:
    """The scripts with an environment of stand-ins, so that only their own logic runs."""
    tools = copy / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name, code in (("ruff", 1), ("mypy", 0), ("parley", 0), ("python", 5)):
        (tools / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tools / name).chmod(0o755)
    for stage in ("unit", "browser"):
        (copy / "tests" / stage).mkdir(parents=True)
        (copy / "tests" / stage / "test_a.py").touch()
    shown = f'root="{copy}"; . scripts/environment.sh; fingerprint'
    (copy / ".venv" / "stamp-dev").write_text(call("bash", "-c", shown, cwd=copy).stdout)
    return copy


def summary(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    lines = done.stdout.partition("=== summary ===\n")[2].splitlines()
    return [line.split()[:2] for line in lines]


def test_a_failed_stage_fails_the_run_and_the_others_still_run(installed: Path) -> None:
    done = call(installed / "scripts" / "test", "lint", "types", "unit", "api", cwd=installed)
    assert done.returncode == 1
    assert summary(done) == [
        ["lint", "FAILED"],
        ["types", "passed"],
        ["unit", "passed"],  # pytest's 5: the arguments chose no test
        ["api", "passed"],
    ]
    assert call(installed / "scripts" / "test", "types", cwd=installed).returncode == 0


@pytest.mark.parametrize(
    ("browsers", "stage", "said"),
    [
        ([], "SKIPPED", ["BROWSER TESTS SKIPPED"]),
        (["chromium"], "passed", ["FIREFOX TESTS SKIPPED"]),
        (["firefox-esr"], "SKIPPED", ["BROWSER TESTS SKIPPED"]),
        (["chromium-browser", "firefox"], "passed", []),
    ],
)
def test_a_browser_that_is_not_there_is_said_aloud(
    installed: Path, browsers: list[str], stage: str, said: list[str]
) -> None:
    tools = installed / "tools"
    tools.mkdir()
    needed = "bash basename cat cut dirname env find flock readlink sha256sum sort timeout xargs"
    for name in needed.split():
        (tools / name).symlink_to(shutil.which(name) or name)
    for name in ("id", *browsers):
        (tools / name).write_text("#!/bin/sh\necho 1000\n")  # not root, so apt is not tried
        (tools / name).chmod(0o755)
    done = call(installed / "scripts" / "test", "browser", cwd=installed, PATH=str(tools))
    assert done.returncode == 0, done.stderr
    assert summary(done) == [["browser", stage]]
    assert re.findall(r"[A-Z]+ TESTS SKIPPED", done.stdout) == said


def python(installed: Path, text: str) -> None:
    (installed / ".venv" / "bin" / "python").write_text(f"#!/bin/sh\n{text}\n")


@pytest.mark.parametrize("ci", [{}, {"CI": "true"}])
def test_what_passes_only_alone_is_flaky_and_has_not_passed(
    installed: Path, ci: dict[str, str]
) -> None:
    alone = "echo 'PASSED tests/unit/test_a.py::test_now[and then]'; exit 0"
    python(installed, f'case "$*" in *--last-failed*) {alone} ;; esac; exit 1')
    done = call(installed / "scripts" / "test", "unit", "types", cwd=installed, **ci)
    assert done.returncode == 1
    assert summary(done)[:2] == [["unit", "FLAKY"], ["types", "passed"]]
    assert done.stdout.endswith("\nFLAKY        tests/unit/test_a.py::test_now[and then]\n")


def test_what_fails_twice_has_failed_though_others_are_flaky(installed: Path) -> None:
    alone = "echo 'PASSED tests/unit/test_a.py::test_now'"
    python(installed, f'case "$*" in *--last-failed*) {alone} ;; esac; exit 1')
    done = call(installed / "scripts" / "test", "unit", cwd=installed)
    assert done.returncode == 1
    assert summary(done) == [["unit", "FAILED"], ["FLAKY", "tests/unit/test_a.py::test_now"]]


def test_quick_runs_what_needs_no_other_process(installed: Path) -> None:
    (installed / "tests" / "api").mkdir()
    (installed / "tests" / "api" / "test_a.py").touch()
    python(installed, 'echo "asked for $*"')
    done = call(installed / "scripts" / "test", "quick", "-x", cwd=installed)
    assert [stage for stage, _ in summary(done)] == ["lint", "types", "unit", "api"]
    asked = re.findall("asked for -m pytest (.*)", done.stdout)
    assert [line.split()[0] for line in asked] == ["tests/unit", "tests/api"]
    assert all(line.endswith(" -x") for line in asked)
    assert "--ignore-glob=*/test_ucwa_*" in asked[1]
