"""The packet path's C code under the compiler's strict eye: as one unit, and its headers alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "sfu" / "native"
STRICT = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]


def compile_strictly(source: Path, built: Path) -> str:
    """What the compiler says; optimized, since some warnings come from what that finds out."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc")
    command = [compiler, "-std=gnu11", "-O2", "-D_GNU_SOURCE", *STRICT, f"-I{NATIVE}"]
    made = subprocess.run(
        [*command, "-c", str(source), "-o", str(built)], capture_output=True, text=True, timeout=120
    )
    return made.stderr


def test_the_core_compiles_without_a_warning(tmp_path: Path) -> None:
    assert compile_strictly(NATIVE / "core.c", tmp_path / "core.o") == ""


@pytest.mark.parametrize("header", ["core.h", "core_test.h"])
def test_a_header_stands_by_itself(header: str, tmp_path: Path) -> None:
    source = tmp_path / "alone.c"
    source.write_text(f'#include "{header}"\n#include "{header}"\n')
    assert compile_strictly(source, tmp_path / "alone.o") == ""


def test_every_file_of_the_core_is_in_it() -> None:
    included = [
        line.split('"')[1]
        for line in (NATIVE / "core.c").read_text().splitlines()
        if line.startswith('#include "core/')
    ]
    there = [f"core/{path.name}" for path in (NATIVE / "core").iterdir()]
    assert sorted(included) == sorted(there)


def test_the_build_looks_at_every_file_of_the_core() -> None:
    """What is not among `depends` in pyproject.toml can change without the module being built anew."""
    project = (NATIVE.parents[1] / "pyproject.toml").read_text()
    for path in [*(NATIVE / "core").iterdir(), *NATIVE.glob("core*.*")]:
        assert f'"sfu/native/{path.relative_to(NATIVE)}"' in project
