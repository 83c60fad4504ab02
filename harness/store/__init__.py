"""The journal of a sweep: append one record durably, read back, what is done, planned, expected."""

from harness.store.expected import EXPECTED, Expectations, read_expected, write_expected
from harness.store.journal import JOURNAL, Journal, Store, read
from harness.store.lock import StoreError
from harness.store.planned import PLANNED, read_planned, write_planned

__all__ = [
    "EXPECTED",
    "JOURNAL",
    "PLANNED",
    "Expectations",
    "Journal",
    "Store",
    "StoreError",
    "read",
    "read_expected",
    "read_planned",
    "write_expected",
    "write_planned",
]
