"""The pages of the project that one stands in: those in its defs folder, else the page of the environment alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from .component import StatusPageComponent
from .status_page.definitions import page_definitions
from .status_page.page import StatusPage


def component_tree(within: Path) -> dg.ComponentTree | None:
    """Return the components of the dg project that a path lies in; None where it lies in none."""
    for folder in (within, *within.parents):
        settings = folder / "pyproject.toml"
        if (folder / "dg.toml").exists() or (settings.exists() and "[tool.dg" in settings.read_text("utf-8")):
            return dg.ComponentTree.for_project(folder)
    return None


def project_definitions(within: Path) -> dg.Definitions:
    """Return the definitions of the dg project that a path lies in; those of the environment's page outside one."""
    tree = component_tree(within)
    return tree.build_defs() if tree else page_definitions(StatusPage.from_environment())


def project_pages(within: Path) -> Sequence[StatusPage]:
    """Return the pages of the dg project that a path lies in; the environment's page outside one."""
    tree = component_tree(within)
    if tree is None:
        return [StatusPage.from_environment()]
    tree.build_defs()
    return [component.built_page for component in tree.get_all_components(of_type=StatusPageComponent)]
