"""The tables of history and of the models: their keys, columns, types and meaning, as one declaration.

As in `source/tables.py`, whose `Table` they are: the runner checks each model's SQL against it, and the
descriptions travel into the database and onto Dagster's asset pages. History lies in the page's dataset, beside
the tables that it remembers; models lie in a schema of their own.
"""

from __future__ import annotations

from cachet_dagster.source.tables import Table

from .facts import FACTS
from .figures import FIGURE_TABLES, UPTIME_PUBLISHED
from .history import HISTORY_TABLES
from .intervals import INTERVALS
from .seeds import SEED_TABLES
from .steps import STEPS_BEFORE

__all__ = ["BUILT", "EVIDENCE", "HISTORY", "MODELS", "SEEDS", "STEPS", "UPTIME_PUBLISHED", "VIEWS"]

EVIDENCE = ("observed", "reported", "inferred", "assumed")
"""How a stretch of time is known, best first: seen by a load; told by the page's own times; worked out from
bounds between which the change lies; taken for granted because nothing says otherwise."""

HISTORY: dict[str, Table] = {table.name: table for table in HISTORY_TABLES}

SEEDS: dict[str, Table] = {table.name: table for table in SEED_TABLES}
"""Small tables that Python writes before the models are built: settings, calendars, targets."""

STEPS: dict[str, Table] = {table.name: table for _, table in STEPS_BEFORE}
"""What several models are made from, and nobody else: built in between, no assets, no part of what is promised."""

_MODELS = (*INTERVALS, *FIGURE_TABLES, *FACTS)

MODELS: dict[str, Table] = {table.name: table for table in _MODELS}
"""Models by name; the SQL of each lies in `models/<name>.sql`, as that of the steps. Views are those of `VIEWS`."""

BUILT: dict[str, Table] = {
    name: table
    for model in _MODELS
    for name, table in (
        *((step.name, step) for before, step in STEPS_BEFORE if before == model.name),
        (model.name, model),
    )
}
"""Models and the steps between them, each after what it is made from."""

VIEWS = ("status_runs", "status_seconds", "uptime_figures", "component_uptime_daily", "shown_statuses")
