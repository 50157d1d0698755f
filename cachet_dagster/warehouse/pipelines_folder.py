"""What dlt's own commands see of a load: its state, schemas and trace, swapped into dlt's pipelines folder.

Only what was put there this way is ever replaced: it is marked, and no pipeline has run in it since. A run
of dlt leaves its folders for packages there, in which some may still wait to be loaded; reading (`dlt pipeline
… info`, a dataset, a sync) adds nothing. Any other folder is somebody's pipeline of the same name.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

from dlt.common.pipeline import get_dlt_pipelines_dir

from .lock import LockTimeout, locked

logger = logging.getLogger("cachet_dagster")

_PUBLISHED = ("state.json", "trace.pickle", "schemas")
_MARK = "published-by-cachet_dagster"
_OF_A_RUN = {"normalize", "load"}


def publish(working_dir: Path) -> None:
    """Show a load to dlt's own commands, under its pipeline's name, instead of the one published before.

    What stands in the way of that only warns, since the load is done: a folder that belongs to a pipeline of
    the same name, or one that cannot be written.

    Args:
        working_dir: The folder in which a pipeline has loaded, named as the pipeline.
    """
    target = Path(get_dlt_pipelines_dir()) / working_dir.name
    prefix = f".{target.name}-"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target, exclusive=True, wait=10):
            if target.exists() and not _published(target):
                logger.warning(
                    "the load is done, but dlt's own commands will not see it: %s belongs to another pipeline of "
                    "that name, and is left as it is. Give that pipeline another name, or remove its folder",
                    target,
                )
                return
            for left in target.parent.glob(f"{prefix}*"):
                shutil.rmtree(left, ignore_errors=True)
            swap = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
            try:
                for name in _PUBLISHED:
                    _copy(working_dir / name, swap / "new" / name)
                (swap / "new" / _MARK).touch()
                if target.exists():
                    target.replace(swap / "old")
                (swap / "new").replace(target)
            finally:
                shutil.rmtree(swap, ignore_errors=True)
    except (OSError, LockTimeout) as error:
        logger.warning(
            "the load is done, but dlt's own commands will not see it: %s cannot be written (%s)",
            target,
            error,
        )


def _published(folder: Path) -> bool:
    """Return whether a pipeline's folder was published, and no pipeline has run in it since."""
    names = {path.name for path in folder.iterdir()}
    return _MARK in names and not names & _OF_A_RUN


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copy2(source, target)
