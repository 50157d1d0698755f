"""What CI tries twice is named, and fails where it fails twice: a retry hides nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TWICE = Path(__file__).parents[1] / ".ci" / "test-twice"

TESTS = """
from pathlib import Path

ONCE = Path(__file__).with_name("ran")

def test_good():
    with ONCE.open("a") as file:
        file.write("good ")

def test_flaky():
    with ONCE.open("a") as file:
        file.write("flaky ")
    assert ONCE.read_text().count("flaky") > {failures}
"""


@pytest.mark.parametrize(
    ("failures", "code", "ran", "verdict"),
    [
        (0, 0, "good flaky ", ""),
        (1, 0, "good flaky flaky ", "FLAKY: failed the first time, passed the second time:"),
        (9, 1, "good flaky flaky ", "Failed the first time; those named above failed twice:"),
    ],
    ids=["never", "once", "always"],
)
def test_only_what_failed_is_tried_again_and_it_is_named(tmp_path, failures, code, ran, verdict):
    (tmp_path / "test_some.py").write_text(TESTS.format(failures=failures))

    done = subprocess.run(
        [TWICE, "--rootdir", tmp_path, "test_some.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHON": sys.executable, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, (tmp_path / "ran").read_text()) == (code, ran), done.stdout + done.stderr
    assert done.stderr.splitlines() == ([verdict, "test_some.py::test_flaky"] if verdict else [])
