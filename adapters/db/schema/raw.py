"""What came in, exactly as received: uploads, landed rows, signal log, the rows that count, quarantine."""

from sqlalchemy import CheckConstraint, Index, Table
from sqlalchemy import text as sqlalchemy_text

from adapters.db.schema.base import (
    big,
    binary,
    day,
    document,
    document_as_sent,
    metadata,
    moment,
    text,
    text_list,
    whole,
)

uploads = Table(
    "uploads",
    metadata,
    text("upload_id", pk=True),
    text("file_name"),
    text("sha256"),
    text("source_profile"),
    text("format"),
    text("uploaded_by"),
    moment("ingested_at"),
    whole("rows_read"),
    whole("rows_accepted"),
    whole("rows_duplicate"),
    whole("rows_revised"),
    whole("rows_quarantined"),
    whole("rows_deleted"),
    day("first_trade_date", null=True),
    day("last_trade_date", null=True),
    text("status"),
    text("error", null=True),
    CheckConstraint("status IN ('ACCEPTED', 'FAILED')", name="status"),
    Index(None, "sha256"),
    schema="raw",
)
"""One row per attempt to bring a file or batch in; a failed one left nothing but this row."""

landed_rows = Table(
    "landed_rows",
    metadata,
    text("upload_id", pk=True),
    whole("row_number", pk=True),
    day("trade_date"),
    text("record_id", pk=True),
    text("kind"),
    whole("revision"),
    text("content_hash"),
    moment("received_at"),
    moment("posted_at"),
    document_as_sent("content"),
    Index(None, "trade_date"),
    Index("uq_landed_rows_record_revision", "record_id", "revision", unique=True),
    schema="raw",
)
"""Append-only history: one row per distinct content of a record; `revision` counts from 1.

That a content stands here once follows from its revisions being unique: of two uploads that know nothing of
each other only one lands a record's next revision, and the other asks again (`UploadWriter`). An index over
the contents would be the largest of all. `content` is written as `propdesk.intake.parse.content_text` does
and kept as text: making a jsonb of it cost the server more than all else.

A message may hold several records, so a row of a file may stand here more than once.
"""

signal_log = Table(
    "signal_log",
    metadata,
    text("chain", pk=True),
    big("seq", pk=True),
    moment("logged_at"),
    text("change"),
    text("kind"),
    text("record_id"),
    whole("revision"),
    text("advisor_id", null=True),
    text("origin"),
    text("source_key", null=True),
    moment("claimed_at", null=True),
    moment("received_at", null=True),
    text("content_hash"),
    binary("previous_hash"),
    binary("hash"),
    CheckConstraint("change IN ('POSTED', 'EDITED', 'DELETED', 'RESTORED')", name="change"),
    Index("ix_signal_log_changed", "record_id", postgresql_where=sqlalchemy_text("change <> 'POSTED'")),
    Index(
        "ix_signal_log_source_key",
        "chain",
        "source_key",
        postgresql_where=sqlalchemy_text("source_key IS NOT NULL"),
    ),
    schema="raw",
)
"""Append-only, hash-chained: what was heard when, in the transaction that stored it; one chain per door.

`origin` is the upload or inbox row; `source_key` the source's own key of a document. Nothing that a source
edits or takes back leaves it (docs/data.md, "The signal log").
"""

collection_positions = Table(
    "collection_positions",
    metadata,
    text("chain", pk=True),
    text("token", null=True),
    text("last_key", null=True),
    moment("updated_at"),
    schema="raw",
)
"""How far the batch reader of a MongoDB collection is: key of a reading of the whole until that is compared
with what was known, then resume token."""

raw_signals = Table(
    "raw_signals",
    metadata,
    day("trade_date", pk=True),
    text("record_id", pk=True),
    text("kind"),
    whole("revision"),
    text("upload_id"),
    whole("row_number"),
    moment("posted_at"),
    moment("received_at"),
    document("content"),
    text("content_hash"),
    schema="raw",
)
"""Step 1: the newest revision of each record."""

quarantine = Table(
    "quarantine",
    metadata,
    text("quarantine_id", pk=True),
    text("stage"),
    text("upload_id"),
    whole("row_number"),
    day("trade_date"),
    text("record_id", null=True),
    text_list("reason_codes"),
    text("message"),
    text("content"),
    text("chain", null=True),
    text("source_key", null=True),
    text("status"),
    CheckConstraint("stage IN ('INGEST', 'VALIDATE', 'NORMALISE', 'RESOLVE')", name="stage"),
    CheckConstraint("status IN ('OPEN', 'RETRIED')", name="status"),
    Index(None, "trade_date", "stage"),
    Index(None, "upload_id", "row_number"),
    schema="raw",
)
"""Rows that could not be taken, with reasons.

`content` is the row as JSON text: jsonb refuses some of what comes in. `chain` is the chain of the signal log
by whose door it came and `source_key` the source's own key of the document (stage INGEST only): a retry lands
it there.
"""
