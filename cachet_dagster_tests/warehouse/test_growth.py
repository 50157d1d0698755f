"""Syncs in one process, one after the other: nothing grows but the data. The long form is in `make soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .proofs import many_syncs

pytestmark = pytest.mark.slow


def test_syncs_in_one_process_leave_nothing_behind_but_rows(tmp_path: Path) -> None:
    found = many_syncs(tmp_path, 6, warm=3, keep_loads=4)

    assert found["differences"] == 0
    for what in ("file handles", "threads", "files beside the database"):
        assert found[f"{what} grew by"] <= 0, what
    assert found["resident MB grew by"] < 40
    assert found["database MB grew by"] < 5
    assert found["rows of _dlt_loads"] + found["rows of _dlt_loads grew by"] <= 5
    assert found["rows of _dlt_pipeline_state grew by"] == found["rows of _dlt_version grew by"] == 0
