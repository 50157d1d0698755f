"""The README and the guides hold what they say: links lead somewhere, commands exist, Python compiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cachet_dagster
from cachet_dagster_tests.analytics.pages import Models
from cachet_dagster_tests.truth import RECORDED_AT, tables

PROJECT = Path(cachet_dagster.__file__).parents[1]
README = PROJECT / "README.md"
AGENTS = PROJECT / "AGENTS.md"
TEXTS = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").rglob("*.md"))]
each_text = pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(PROJECT)))


def blocks(text: Path, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", text.read_text(encoding="utf-8"))


def named_make_targets(text: Path) -> Iterator[str]:
    for line in re.findall(r"`(make [^`]+)`", text.read_text(encoding="utf-8")) + blocks(text, "sh"):
        yield from re.findall(r"(?m)(?:^|`|&& )make ([a-z-]+)", line)


@pytest.mark.parametrize(("text", "lines"), [(README, 200), (AGENTS, 100)], ids=["README", "AGENTS"])
def test_what_one_reads_first_is_short(text: Path, lines: int) -> None:
    assert len(text.read_text(encoding="utf-8").splitlines()) <= lines


@each_text
def test_links_to_files_lead_somewhere(text: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text.read_text(encoding="utf-8"))

    missing = [link for link in links if "://" not in link and not (text.parent / link).exists()]

    assert not missing


@each_text
def test_make_commands_exist(text: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8")))

    assert set(named_make_targets(text)) <= targets


@each_text
def test_python_samples_compile(text: Path) -> None:
    for sample in blocks(text, "python"):
        compile(sample, str(text), "exec")


@pytest.fixture(scope="module")
def models() -> Models:
    """Return the models over the recorded page, as an administrator reads it."""
    return Models(tables("admin"), as_of=RECORDED_AT)


@each_text
def test_sql_samples_find_rows(text: Path, models: Models) -> None:
    for sample in blocks(text, "sql"):
        for query in filter(str.strip, sample.split(";")):
            assert models.connection.execute(query).fetchall(), query
