"""The arrows of the structure hold: which folder may import which, and which of them know Dagster.

Read from the source text, so that an import inside a function or for type checking alone counts as well.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cachet_dagster

PACKAGE = Path(cachet_dagster.__file__).parent

ARROWS = {
    "demo": set(),
    "source": set(),
    "warehouse": {"source"},
    "analytics": {"source", "warehouse"},
    "status_page": {"source", "warehouse", "analytics", "demo"},
    "cli": {"source", "warehouse", "analytics", "status_page", "demo", "project"},
}
"""For each folder, what else of the package it may import."""

KNOW_DAGSTER = {"status_page", "cli"}


@pytest.mark.parametrize("folder", ARROWS)
def test_a_folder_imports_only_what_lies_upstream_of_it(folder):
    allowed = {f"cachet_dagster.{name}" for name in (folder, *ARROWS[folder])}
    within = [(file, name) for file, name in imports(folder) if name.startswith("cachet_dagster")]

    against = {(file, name) for file, name in within if ".".join(name.split(".")[:2]) not in allowed}

    assert within
    assert not against


@pytest.mark.parametrize("folder", sorted(ARROWS.keys() - KNOW_DAGSTER))
def test_source_warehouse_analytics_and_demo_work_without_dagster_and_its_libraries(folder):
    found = list(imports(folder))

    against = {(file, name) for file, name in found if name.split(".")[0].split("_")[0] == "dagster"}

    assert found
    assert not against


def test_every_folder_has_its_place_among_the_arrows():
    # `defs` holds YAML, which says what it is made of.
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == ARROWS.keys() | {"defs"}


def test_nothing_private_of_dagsters_is_used():
    private = re.compile(r"\bdagster(_\w+)?(\.\w+)*\._\w+")
    found = {
        f"{path.relative_to(PACKAGE)}: {match[0]}"
        for path in PACKAGE.rglob("*.py")
        for match in private.finditer(path.read_text())
    }

    assert found == set()


def imports(folder: str) -> Iterator[tuple[str, str]]:
    """Yield a folder's files and the absolute name of each thing that they import."""
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        file = path.relative_to(PACKAGE.parent)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((str(file), alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = file.parts[: -node.level] if node.level else ()
                module = [*above, *([node.module] if node.module else [])]
                yield from ((str(file), ".".join([*module, alias.name])) for alias in node.names)
