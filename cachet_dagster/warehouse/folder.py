"""A dlt folder for one run, beside the database; a killed run leaves its own, and the next load removes it.

Two runs in one dlt folder mix their rows. The folder is locked for as long as its run lives, and the kernel
gives that lock back however the run ends: a folder that can be locked belongs to nobody any more.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .lock import try_lock


@contextlib.contextmanager
def run_folder(database: Path) -> Iterator[Path]:
    """Make a folder beside the database for one run, and remove it with all that is in it afterwards.

    Enter it while writing is this run's turn, so that no folder is removed between being made and locked.

    Raises:
        OSError: It cannot be made.
    """
    prefix = f"{database.name}.load-"
    for left in database.parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError), try_lock(left) as free:
            if free:
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=database.parent))
    try:
        with try_lock(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
