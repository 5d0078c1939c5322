"""Who may import whom: a table of arrows between rooms, held against every module that there is.

A room is a folder or a single module; a module belongs to the longest name in the table that it begins with. An arrow
that is not in the table fails, and so does one that is there and nobody uses.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("conference", "sfu", "schemas", "config")

FAMILIES = frozenset({"conference.ucwa"})
NAME_FAMILIES = ("conference.app", "conference.commands")
"""The only ones outside a family that may import of it."""

CORE = tuple(f"conference.{room}" for room in ("api", "domain", "services", "storage", "bus"))

ARROWS = {
    "schemas": "",
    "config": "",
    "conference.errors": "",
    "conference.downtime": "conference.errors",
    "conference.passwords": "",
    # the core, from the inside out; it knows no family
    "conference.domain": "conference.errors schemas",
    "conference.storage": "conference.domain conference.errors conference.downtime schemas",
    "conference.bus": "conference.domain conference.errors conference.downtime schemas config",
    "conference.services": "conference.domain conference.storage conference.bus conference.errors "
    "conference.downtime schemas",
    "conference.api": "conference.domain conference.storage conference.bus conference.services conference.errors "
    "conference.downtime schemas config",
    # UCWA, from the inside out
    "conference.ucwa.sip": "",
    "conference.ucwa.application": "",
    "conference.ucwa.engine": "conference.ucwa.application conference.api conference.errors schemas config",
    "conference.ucwa.applications": "conference.ucwa.application conference.ucwa.engine conference.api "
    "conference.bus conference.domain conference.services conference.storage conference.errors "
    "conference.passwords conference.tokens schemas",
    "conference.ucwa.meetings": "conference.ucwa.application conference.ucwa.applications conference.ucwa.engine "
    "conference.ucwa.sip conference.api conference.domain conference.services conference.storage "
    "conference.errors schemas config",
    "conference.ucwa.people": "conference.ucwa.application conference.ucwa.applications conference.ucwa.engine "
    "conference.ucwa.sip conference.api conference.domain conference.services conference.storage "
    "conference.errors schemas config",
    "conference.ucwa.conversations": "conference.ucwa.application conference.ucwa.applications "
    "conference.ucwa.engine conference.ucwa.meetings conference.ucwa.people conference.ucwa.sip conference.api "
    "conference.domain conference.services conference.storage conference.errors schemas",
    "conference.ucwa.family": "conference.ucwa.applications conference.ucwa.conversations conference.ucwa.engine "
    "conference.ucwa.meetings conference.ucwa.people conference.api conference.bus conference.domain "
    "conference.services schemas config",
    # one machine
    "conference.machine.datadir": "",
    "conference.tokens": "conference.machine.datadir config",
    # `parley doctor` asks which addresses a worker would announce
    "conference.machine": "conference.machine.datadir conference.storage conference.tokens sfu.transport schemas "
    "config",
    # what puts it all together
    "conference.app": "conference.ucwa.family conference.api conference.bus conference.services "
    "conference.storage conference.tokens config",
    "conference.commands": "conference.app conference.ucwa.people conference.api conference.domain "
    "conference.machine conference.machine.datadir conference.passwords conference.storage conference.tokens "
    "sfu.worker config",
    "conference.__main__": "conference.commands conference.machine conference.machine.datadir conference.storage "
    "config",
    # the worker, from the inside out; it knows nothing of the API side
    "sfu.guard": "",
    "sfu.wire": "",
    "sfu.path": "sfu.wire sfu.guard",
    "sfu.path.python": "sfu.wire sfu.path",
    "sfu.native": "sfu.wire sfu.path",
    "sfu.path.choice": "sfu.path sfu.path.python",
    "sfu.rtcp": "sfu.wire sfu.path sfu.guard",
    "sfu.sdp": "sfu.wire sfu.path schemas",
    "sfu.transport": "sfu.wire sfu.path sfu.sdp sfu.guard schemas config",
    "sfu.session": "sfu.path sfu.sdp sfu.transport sfu.guard schemas",
    "sfu.worker": "sfu.path sfu.path.choice sfu.rtcp sfu.session sfu.transport sfu.guard schemas config",
}


@cache
def modules() -> dict[str, Path]:
    """Every module by its name, however deep it lies."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def imports() -> dict[str, set[str]]:
    """What each module imports of ours, also inside functions."""
    return {name: set(_imported(path)) for name, path in modules().items()}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in modules() else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room_of(module: str) -> str | None:
    rooms = [room for room in ARROWS if module == room or module.startswith(f"{room}.")]
    return max(rooms, key=len, default=None)


def arrows() -> set[tuple[str, str]]:
    """Those that there are, between different rooms."""
    return {
        (start, end)
        for module, targets in imports().items()
        if (start := room_of(module))
        for target in targets
        if (end := room_of(target)) and start != end
    }


def allowed() -> set[tuple[str, str]]:
    return {(start, end) for start, ends in ARROWS.items() for end in ends.split()}


def test_every_module_is_in_a_room() -> None:
    packages = {name for name in modules() if modules()[name].name == "__init__.py"}
    assert [name for name in modules() if room_of(name) is None and name not in packages] == []


def test_every_arrow_is_allowed_and_every_allowed_one_is_used() -> None:
    assert arrows() - allowed() == set()
    assert allowed() - arrows() == set()


def test_no_arrow_climbs() -> None:
    """Raises CycleError, which names the rooms."""
    TopologicalSorter({start: set(ends.split()) for start, ends in ARROWS.items()}).prepare()


def test_no_import_goes_in_a_circle() -> None:
    graph = {
        module: {target for target in targets if target in modules() and target != module}
        for module, targets in imports().items()
    }
    TopologicalSorter(graph).prepare()


def test_a_family_is_named_where_everything_is_put_together_and_nowhere_else() -> None:
    strangers = {
        (module, target)
        for module, targets in imports().items()
        for target in targets
        for family in FAMILIES
        if target.startswith(family) and not module.startswith((family, *NAME_FAMILIES))
    }
    assert strangers == set()


def test_the_core_does_not_even_speak_of_a_family() -> None:
    words = {family.rpartition(".")[2] for family in FAMILIES}
    speaking = {
        module
        for module, path in modules().items()
        if module.startswith(CORE) and any(word in path.read_text().lower() for word in words)
    }
    assert speaking == {"conference.api.meetings.routes"}, (
        "its texts tell clients of online meetings"
    )


def test_families_are_the_folders_that_have_one() -> None:
    found = {name.removesuffix(".family") for name in modules() if name.endswith(".family")}
    assert found - {"conference.api"} == FAMILIES, "conference.api.family says what one is"
