"""The journal of a sweep: append one record durably, read back, what is done."""

from harness.store.journal import JOURNAL, Journal, Store, read
from harness.store.lock import StoreError

__all__ = ["JOURNAL", "Journal", "Store", "StoreError", "read"]
