"""One test over the fault matrix: load well, load under the fault, load again when it is gone."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cachet_dagster.demo import DEMO_TOKEN, DemoServer
from cachet_dagster.source import CachetError
from cachet_dagster.warehouse import DuckDBWarehouse

from .certificates import Authority
from .loading import contents, differences, load_once, settings, tables_of, truth
from .matrix import CASES, PATHS, After, Case, Stage, markdown_table
from .server import FaultServer

RELIABILITY = Path(__file__).parents[2] / "docs" / "reliability.md"

BOUND = 30.0
"""Seconds that a load may take whatever happens: its waits are bounded by the settings of `loading`."""


def everything_said(error: BaseException) -> str:
    """Return all that an error and what caused it log, in every way that they may be printed."""
    said = []
    link: BaseException | None = error
    while link is not None:
        said += [str(link), repr(link), repr(vars(link))]
        link = link.__cause__ or link.__context__
    return "\n".join(said)


def of_each_kind_one() -> Iterator[Any]:
    """Yield the cases; those that are like another in kind, in what is sent and in what is kept are slow."""
    kinds = set()
    for case in CASES:
        kind = (case.group, case.asked, case.after)
        yield pytest.param(case, marks=pytest.mark.slow) if kind in kinds else case
        kinds.add(kind)


@pytest.mark.parametrize(
    "case", of_each_kind_one(), ids=lambda case: f"{case.group}: {case.what}".replace("/", " ")
)
def test_a_fault_keeps_its_promise(
    case: Case,
    database: DuckDBWarehouse,
    demo: DemoServer,
    server: FaultServer,
    other: FaultServer,
    authority: Authority,
    tmp_path: Path,
) -> None:
    names = [case.endpoint, "components"]
    tables = tables_of(names)
    path = PATHS.get(case.endpoint, f"/api/{case.endpoint}")
    before = contents(database, tables)
    demo.world.add("components", name="Came meanwhile")
    demo.world.add("component_groups", name="Came meanwhile")
    at_first = truth(demo.world, tables_of([case.endpoint]))
    stage = Stage(demo, other, authority, tmp_path)
    overrides: dict[str, Any] = {"base_url": server.url}

    with contextlib.ExitStack() as stack:
        if case.place:
            overrides = stack.enter_context(case.place(stage))
        if case.fault:
            server.misbehave(case.fault(stage), path)
        how = settings(overrides.pop("base_url"), **overrides, **case.settings)
        began = time.monotonic()
        raised: CachetError | None = None
        errors: dict[str, CachetError] = {}
        try:
            errors = load_once(how, database, names)
        except CachetError as error:
            raised = error
        took = time.monotonic() - began

    assert took < BOUND, f"it took {took:.1f} s"
    error = raised or errors.get(case.endpoint)
    assert case.reads in str(error or ""), "what the user reads"
    assert (error is None) == (not case.reads), f"unexpectedly: {error}"
    if error is not None:
        assert str(error).startswith("" if raised else f"{case.endpoint}: "), "the endpoint is named"
        assert error.remedy, "a remedy is named"
        assert DEMO_TOKEN not in everything_said(error), "the token is kept secret"
        assert DEMO_TOKEN.partition("|")[2] not in everything_said(error), "the token is kept secret"
    if case.fault:
        assert server.asked(path) == case.requests, "requests"
    assert other.requests == [], "nothing is asked of another host"

    now = contents(database, tables)
    own = tables_of([case.endpoint])
    if case.after is After.ALL:
        assert now == before, "every table is as before"
    else:
        assert set(errors) <= {case.endpoint}, "the others do not fail"
        assert differences(database, truth(demo.world, ["components"])) == [], "the others are loaded"
    if case.after is After.OWN:
        assert {table: now[table] for table in own} == {table: before[table] for table in own}, (
            "its tables are exactly as before"
        )
    if case.after is After.SNAPSHOT:
        assert differences(database, at_first) == []
    if case.after is After.LOADED:
        changed = _expected(case, demo)
        first = min(now[own[0]], key=lambda row: row["id"])
        assert {name: first.get(name, "no column") for name in changed} == changed, "the first row"
        if not changed:
            assert differences(database, truth(demo.world, own)) == []

    if case.after is After.ALL or (case.after is After.LOADED and not case.row):
        return
    server.heal()
    assert load_once(settings(server.url), database, names) == {}, "when the fault is gone, all is loaded"
    assert differences(database, truth(demo.world, tables)) == [], (
        "when the fault is gone, the tables are the truth"
    )


def _expected(case: Case, demo: DemoServer) -> dict[str, Any]:
    """Return what the first row's columns hold, `{}` in a text standing for the proper name."""
    name = min(demo.world.take("component_groups"), key=lambda row: row["id"])["name"]
    return {
        column: value.replace("{}", name) if isinstance(value, str) else value
        for column, value in case.row.items()
    }


def test_the_documentation_shows_the_matrix() -> None:
    section = re.search(
        r"<!-- fault matrix -->\n(.*?)\n<!-- /fault matrix -->", RELIABILITY.read_text(), re.DOTALL
    )

    assert section is not None, "docs/reliability.md has the markers of the fault matrix"
    assert section[1].strip() == markdown_table()
