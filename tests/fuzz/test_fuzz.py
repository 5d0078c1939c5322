"""No bytes may make a parser raise anything but ValueError, or the packet path raise at all.

Three ways in: inputs that once broke something (`corpus/TARGET/*`), hypothesis, and mutations of well-formed
packets. PARLEY_FUZZ_SECONDS sets how long each target is mutated (default half a second, from a fixed
seed; longer runs begin anywhere). A new breaking input is written to the corpus: keep it there.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutation import mutate, seeds
from targets import PARSERS, Target, WholePath

from sfu.path.python.path import PythonPath

CORPUS = Path(__file__).parent / "corpus"
DEFAULT_SECONDS = 0.5
SECONDS = float(os.environ.get("PARLEY_FUZZ_SECONDS", DEFAULT_SECONDS))
SEED = 1 if SECONDS == DEFAULT_SECONDS else random.SystemRandom().randrange(2**32)

NAMES = [*PARSERS, "path"]


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    name: str = request.param
    if name != "path":
        yield PARSERS[name]
        return
    path = WholePath(PythonPath)
    yield path
    path.close()


def tolerate(name: str, target: Target, data: bytes) -> bool:
    """Whether the bytes were accepted."""
    try:
        target(data)
    except ValueError:
        if name == "path":
            raise
        return False
    except Exception:
        broken = CORPUS / name / hashlib.sha256(data).hexdigest()[:16]
        broken.parent.mkdir(parents=True, exist_ok=True)
        broken.write_bytes(data)
        raise
    return True


def kept() -> list[Path]:
    return sorted(path for path in CORPUS.glob("*/*") if path.parent.name in NAMES)


@pytest.mark.parametrize("path", kept(), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_broke_something(path: Path) -> None:
    data = path.read_bytes()
    for name, parser in PARSERS.items():
        tolerate(name, parser, data)
    whole = WholePath(PythonPath)
    whole(data)
    whole.close()


@pytest.mark.parametrize("name", list(PARSERS))
@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200) | st.sampled_from(seeds()))
def test_arbitrary_bytes(name: str, data: bytes) -> None:
    tolerate(name, PARSERS[name], data)


@pytest.mark.timeout(60 + 2 * SECONDS)
@pytest.mark.parametrize(("name", "target"), [(n, n) for n in NAMES], indirect=["target"])
def test_mutated_packets(name: str, target: Target) -> None:
    chance = random.Random(SEED)
    fixed = seeds() + [path.read_bytes() for path in kept()]
    strays = list(fixed)
    until = time.monotonic() + SECONDS
    tried = accepted = 0
    while time.monotonic() < until or not tried:
        data = mutate(chance.choice(chance.choice((fixed, strays))), chance, fixed)
        accepted += tolerate(name, target, data)
        tried += 1
        if tried % 50 == 0:  # further away from the well-formed ones, but not without end
            strays[chance.randrange(len(strays))] = data
    assert accepted
    print(f"{name}: {tried} inputs, {accepted} accepted, seed {SEED}")
