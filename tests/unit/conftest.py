"""Both packet paths pass the same tests: those that take `rig` run once for each that is installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest
from path_rig import PathFactory, Rig

from sfu.path.choice import native_available
from sfu.path.python.path import PythonPath

_PATHS = ["python", *(["native"] if native_available() else [])]


@pytest.fixture(params=_PATHS)
def path_factory(request: pytest.FixtureRequest) -> PathFactory:
    if request.param == "python":
        return PythonPath
    factory: PathFactory = importlib.import_module("sfu.native.path").NativePath
    return factory


@pytest.fixture
def rig(path_factory: PathFactory) -> Iterator[Rig]:
    rig = Rig(path_factory)
    yield rig
    rig.close()
