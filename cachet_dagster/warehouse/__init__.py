"""One way into the data, whatever the destination: a protocol, and what needs no more than that."""

from .busy import DatabaseBusy
from .database import Database
from .destinations import make_warehouse, place_beside
from .load import LoadFailed, load
from .protocol import Session, Warehouse

__all__ = [
    "Database",
    "DatabaseBusy",
    "LoadFailed",
    "Session",
    "Warehouse",
    "load",
    "make_warehouse",
    "place_beside",
]
