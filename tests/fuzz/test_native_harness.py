"""The packet path's C code under AddressSanitizer and UndefinedBehaviorSanitizer: the kept corpus and random programs.

The long run, with a fuzzer that looks for new coverage, is scripts/fuzz-native.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "native"
NATIVE = Path(__file__).parents[2] / "sfu" / "native"
SECONDS = os.environ.get("PARLEY_FUZZ_SECONDS", "1")
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc")
    built = tmp_path_factory.mktemp("harness") / "harness"
    flags = ["-std=gnu11", "-g", "-O1", "-D_GNU_SOURCE", "-DFUZZ_STANDALONE", f"-I{NATIVE}"]
    source = str(HERE / "harness.c")
    made = subprocess.run(
        [compiler, *flags, *SANITIZERS, source, "-o", str(built)], capture_output=True, text=True
    )
    if "cannot find" in made.stderr and "san" in made.stderr:
        pytest.skip("gcc has no sanitizers here")
    assert made.returncode == 0, made.stderr
    return built


@pytest.mark.timeout(300)
def test_nothing_breaks_it(harness: Path) -> None:
    corpus = sorted(str(path) for path in (HERE / "corpus").iterdir())
    assert len(corpus) > 20
    played = subprocess.run(
        [str(harness), "-seconds", str(int(float(SECONDS)) or 1), *corpus],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert played.returncode == 0, played.stderr[-4000:]
    assert f"{len(corpus)} files" in played.stdout
