"""The samples of plain dlt, in the guide and in docstrings, run as they are written; only the address is another."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import duckdb
import pytest

import cachet_dagster
from cachet_dagster.demo import World
from cachet_dagster.source import TABLES
from cachet_dagster_tests.conftest import ADMIN, Serve
from cachet_dagster_tests.processes import python

PACKAGE = Path(cachet_dagster.__file__).parent
pytestmark = pytest.mark.slow

ADDRESS = "https://status.example.com"


def small() -> World:
    return World.generate(incidents=3, components=2, metrics=2, points=5, subscribers=2)


def rows(database: Path, schema: str, table: str) -> int:
    """Return the rows of a table."""
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(f'SELECT count(*) FROM {schema}."{table}"').fetchall()[0][0]


def docstring_samples() -> dict[str, str]:
    """Return the indented code in docstrings of the source that begins by importing dlt, by file."""
    samples: dict[str, str] = {}
    for path in sorted((PACKAGE / "source").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                found = re.search(r"(?ms)^    import dlt$.*?(?=^\S|\Z)", ast.get_docstring(node) or "")
                if found:
                    samples[path.name] = textwrap.dedent(found[0])
    return samples


def test_the_guides_samples_of_plain_dlt_run_as_written(serve: Serve, tmp_path: Path) -> None:
    page = serve(small())
    guide = (PACKAGE.parent / "docs" / "guides" / "plain-dlt.md").read_text()
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", guide)

    python(
        tmp_path,
        "\n".join(blocks).replace(ADDRESS, page.url),
        SOURCES__CACHET_SOURCE__API_KEY=ADMIN,
    )

    assert len(blocks) == 2
    mine, acme = tmp_path / "my_cachet.duckdb", tmp_path / "acme.duckdb"
    assert [rows(mine, "cachet_data", table) for table in ("incidents", "metric_points", "subscribers")] == [
        3,
        10,
        2,
    ]
    assert [rows(acme, "acme_data", table) for table in ("incidents", "metric_points", "subscribers")] == [
        3,
        10,
        0,
    ]


def test_the_samples_in_docstrings_run_as_written(serve: Serve, tmp_path: Path) -> None:
    page = serve(small())
    samples = docstring_samples()

    for sample in samples.values():
        python(tmp_path, sample.replace(ADDRESS, page.url), SOURCES__CACHET_SOURCE__API_KEY=ADMIN)

    assert samples.keys() == {"__init__.py"}
    assert [
        rows(tmp_path / "my_cachet.duckdb", "cachet_data", table) > 0
        for table in ("incidents", "subscribers")
    ]
    assert TABLES


def test_the_sample_of_secrets_names_settings_that_there_are(tmp_path: Path) -> None:
    (tmp_path / ".dlt").mkdir()
    sample = (PACKAGE.parent / ".dlt" / "secrets.toml.example").read_text()
    (tmp_path / ".dlt" / "secrets.toml").write_text(sample)
    code = """
from cachet_dagster.source import cachet_source
cachet_source(base_url=dlt.secrets["sources.cachet_source.base_url"])
"""

    python(tmp_path, f"import dlt\n{code}")
