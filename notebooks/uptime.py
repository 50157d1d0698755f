"""A notebook on a page's uptime: `marimo edit notebooks/uptime.py`, or `marimo run` for the charts alone.

Needs the extra `show` and a database whose models are built. Each question opens the database for itself, read-only,
and closes it again, so that a load never waits for a notebook that somebody left open.
"""

import marimo

app = marimo.App(width="medium", app_title="Uptime")


@app.cell
def _():
    import os
    from pathlib import Path

    import marimo as mo

    from cachet_dagster.analytics import formats
    from cachet_dagster.analytics.report import Figures, pictures, queries
    from cachet_dagster.warehouse import DuckDBWarehouse

    return DuckDBWarehouse, Figures, Path, formats, mo, os, pictures, queries


@app.cell
def _(DuckDBWarehouse, Figures, Path, os):
    _set = os.environ.get("CACHET_DATABASE", "cachet.duckdb")
    database = Path(_set) if Path(_set).exists() else Path(_set).with_name("cachet_demo.duckdb")
    dataset = os.environ.get("CACHET_DATASET", "cachet_data")

    def ask(question):
        """Return the answer to a question to the models, with the database open for no longer than that."""
        with DuckDBWarehouse(database, dataset=dataset).reading() as session:
            return question(Figures(session.execute, session.dataset))

    return ask, database


@app.cell
def _(ask, mo, queries):
    _components = ask(queries.components)
    _policies = ask(
        lambda figures: figures.rows("SELECT p.* FROM analytics.uptime_policies AS p ORDER BY p.policy")
    )
    component = mo.ui.dropdown(
        {f"{row['component_name']} (#{row['component_id']})": row["component_id"] for row in _components},
        value=next(f"{row['component_name']} (#{row['component_id']})" for row in _components),
        label="Component",
    )
    window = mo.ui.dropdown(
        {f"{days} days": days for days in (7, 28, 30, 90, 365)}, value="90 days", label="Window"
    )
    policy = mo.ui.dropdown(
        [row["policy"] for row in _policies],
        value=next(row["policy"] for row in _policies if row["is_default"]),
        label="Policy",
    )
    mo.hstack([component, window, policy], justify="start")
    return component, policy, window


@app.cell
def _(ask, component, database, formats, mo, policy, window):
    _found = ask(
        lambda figures: figures.rows(
            "SELECT r.* FROM analytics.uptime_rolling AS r WHERE r.scope = 'component' AND r.scope_id = :id"
            " AND r.window_days = :days AND r.policy = :policy",
            id=component.value,
            days=window.value,
            policy=policy.value,
        )
    )
    uptime = (_found[0]["uptime_lower"], _found[0]["uptime_upper"]) if _found else (None, None)
    mo.stat(
        formats.bounds(*uptime),
        label=f"{component.selected_key}, last {window.value} days, by {policy.value}",
        caption=(
            f"down for {formats.duration(_found[0]['down_seconds'])}; from {database.name}"
            if _found
            else "nothing is known of it"
        ),
        bordered=True,
    )
    return (uptime,)


@app.cell
def _(ask, component, mo, pictures, policy):
    calendar = ask(
        lambda figures: pictures.calendar(
            figures, policy.value, figures.as_of.date(), component=component.value
        )
    )
    bars = ask(lambda figures: pictures.bars(figures, policy.value, figures.as_of.date()))
    mo.vstack([mo.image(calendar.data_url(), alt=calendar.title), mo.image(bars.data_url(), alt=bars.title)])
    return bars, calendar


@app.cell
def _(ask, component, formats, mo, window):
    incidents = ask(
        lambda figures: figures.rows(
            "SELECT DISTINCT f.incident_id, f.name, f.starts_at, f.open_seconds, f.end_evidence, f.flags"
            " FROM analytics.incident_facts AS f"
            " INNER JOIN analytics.incident_impacts AS i ON i.incident_id = f.incident_id AND i.component_id = :id"
            " INNER JOIN analytics.calendar_windows AS w ON w.window_days = :days AND f.starts_at >= w.starts_at"
            " ORDER BY f.open_seconds DESC NULLS LAST",
            id=component.value,
            days=window.value,
        )
    )
    mo.ui.table(
        [
            {
                "incident": f"#{row['incident_id']} {formats.plain(row['name'])}",
                "from": formats.moment(row["starts_at"]),
                "open for": formats.duration(row["open_seconds"]),
                "end": row["end_evidence"],
                "flags": row["flags"],
            }
            for row in incidents
        ],
        selection=None,
        label="Its incidents in the window, longest first",
    )
    return (incidents,)


if __name__ == "__main__":
    app.run()
