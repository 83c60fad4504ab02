"""The journal of a sweep: append one record durably, read back, what is done and planned."""

from harness.store.journal import JOURNAL, Journal, Store, read
from harness.store.lock import StoreError
from harness.store.planned import PLANNED, read_planned, write_planned

__all__ = [
    "JOURNAL",
    "PLANNED",
    "Journal",
    "Store",
    "StoreError",
    "read",
    "read_planned",
    "write_planned",
]
