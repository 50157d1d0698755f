"""Cachet status pages as Dagster assets.

`StatusPageComponent` is the way in from YAML, `page_definitions(StatusPage(...))` the one from Python. Both are
imported when asked for, so that `cachet_dagster.source` works where there is no Dagster.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .component import StatusPageComponent
    from .status_page.definitions import page_definitions
    from .status_page.page import StatusPage

__version__ = "0.2.0"

__all__ = ["StatusPage", "StatusPageComponent", "page_definitions"]

_HOMES = {
    "StatusPage": "status_page.page",
    "StatusPageComponent": "component",
    "page_definitions": "status_page.definitions",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
