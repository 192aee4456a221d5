"""The walls of the house: which room may import which (docs/design.md)."""

import ast
from pathlib import Path

import pytest

import personaproof

ROOT = Path(personaproof.__file__).parent
ALL = {p.name for p in ROOT.iterdir() if (p / "__init__.py").exists()}
MAY_IMPORT = {
    "core": set(),
    "data": {"core"},
    "engines": {"core"},
    "judges": {"core"},
    "store": {"core"},
    "stats": {"core"},
    "audit": {"core", "data", "engines", "judges", "store", "stats"},
    "evolve": {"core", "data", "engines", "judges", "store", "stats", "audit"},
    "harden": {"core", "data", "engines", "judges", "store", "stats", "audit", "evolve", "directions"},
    "report": {"core", "store", "stats"},
    "organism": {"core", "data", "stats"},
    "directions": {"core", "data", "engines", "judges", "stats"},
    "recognition": {"core", "engines", "store", "stats", "directions"},
    "bench": ALL - {"cli"},
    "cli": ALL,
}


@pytest.mark.parametrize("room", sorted(ALL))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    broken = []
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                names = [node.module]
                if node.module == "personaproof":
                    names = [f"personaproof.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                parts = name.split(".")
                if parts[0] == "personaproof" and len(parts) > 1 and parts[1] in ALL - MAY_IMPORT[room] - {room}:
                    broken.append(f"{path.relative_to(ROOT)}:{node.lineno} imports {name}")
    assert not broken, "\n".join(broken)
