"""One way into the database: the single writer's lock, a dlt folder per run, and read-only looks."""

from .database import Database
from .load import LoadFailed, load

__all__ = ["Database", "LoadFailed", "load"]
