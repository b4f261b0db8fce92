"""Append-only, hash-chained record of who did what."""

from sqlalchemy import Table

from adapters.db.schema.base import big, document, metadata, moment, text

log = Table(
    "log",
    metadata,
    text("account_id", pk=True),
    big("seq", pk=True),
    moment("logged_at"),
    text("actor"),
    text("action"),
    document("detail"),
    text("previous_hash"),
    text("hash"),
    schema="audit",
)
