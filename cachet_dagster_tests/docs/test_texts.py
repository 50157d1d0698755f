"""The README and the guides hold what they say: links lead somewhere, commands exist, Python compiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cachet_dagster

PROJECT = Path(cachet_dagster.__file__).parents[1]
README = PROJECT / "README.md"
TEXTS = [README, *sorted((PROJECT / "docs").rglob("*.md"))]
each_text = pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(PROJECT)))


def blocks(text: Path, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", text.read_text(encoding="utf-8"))


def named_make_targets(text: Path) -> Iterator[str]:
    for line in re.findall(r"`(make [^`]+)`", text.read_text(encoding="utf-8")) + blocks(text, "sh"):
        yield from re.findall(r"(?m)(?:^|`|&& )make ([a-z-]+)", line)


def test_the_readme_has_at_most_200_lines() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


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
