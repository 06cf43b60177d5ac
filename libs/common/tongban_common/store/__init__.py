"""The document store (MongoDB). Nothing else in the product imports motor.

Motor reached its end of life in 2026; see docs/adr/0003-motor-behind-one-door.md for the way to
PyMongo's own asyncio API.
"""

from tongban_common.store.client import (
    BAD_VALUE_CODES,
    DUPLICATE_KEY_CODES,
    NOW,
    STAMP,
    DuplicateKey,
    Store,
    StoreUnavailableError,
    expire,
    prepare_store,
    store_errors,
)
from tongban_common.store.documents import MAX_BYTES as MAX_DOCUMENT_BYTES
from tongban_common.store.documents import DocumentStore, StoredDocument
from tongban_common.store.watch import StoreWatch

__all__ = [
    "BAD_VALUE_CODES",
    "DUPLICATE_KEY_CODES",
    "MAX_DOCUMENT_BYTES",
    "NOW",
    "STAMP",
    "DocumentStore",
    "DuplicateKey",
    "Store",
    "StoreUnavailableError",
    "StoreWatch",
    "StoredDocument",
    "expire",
    "prepare_store",
    "store_errors",
]
