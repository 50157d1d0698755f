"""One way into the data, whatever the destination: a protocol, and what needs no more than that."""

from .duckdb_warehouse import DuckDBWarehouse
from .load import LoadFailed, load
from .make import make_warehouse, place_beside
from .protocol import DatabaseBusy, Session, Warehouse

__all__ = [
    "DatabaseBusy",
    "DuckDBWarehouse",
    "LoadFailed",
    "Session",
    "Warehouse",
    "load",
    "make_warehouse",
    "place_beside",
]
