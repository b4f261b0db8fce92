"""Landing rows of an upload, its record, and the quarantine of rows that could not be taken."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from adapters.db.repos.signal_log import (
    LogEntry,
    lock_chain,
    log_fresh,
    log_missing_records,
    log_restored,
)
from propdesk.core.clock import NS_PER_MICROSECOND, from_ns
from propdesk.core.ids import derived_id
from propdesk.intake import FullExport

if TYPE_CHECKING:
    import pyarrow as pa

_LOCK_KEY = 7_215_500_011
"""Uploads land one after the other: a revision's number depends on what landed before."""

_INCOMING = """
CREATE TEMPORARY TABLE incoming (
    place bigint NOT NULL, row_number integer NOT NULL, record_id text NOT NULL, trade_date date NOT NULL,
    kind text NOT NULL,
    content_hash text NOT NULL, received_at timestamptz NOT NULL, posted_at timestamptz NOT NULL,
    content jsonb NOT NULL, source_key text
) ON COMMIT DROP
"""
_REFUSED_MESSAGES = "CREATE TEMPORARY TABLE refused_messages (message_id text NOT NULL) ON COMMIT DROP"
_COPY_REFUSED = "COPY refused_messages (message_id) FROM STDIN"
_COPY_INCOMING = """
COPY incoming (place, row_number, record_id, trade_date, kind, content_hash, received_at, posted_at, content,
               source_key)
FROM STDIN WITH (FORMAT binary)
"""
_COPY_QUARANTINE = """
COPY raw.quarantine (quarantine_id, stage, upload_id, row_number, trade_date, record_id, reason_codes,
                     message, content, chain, source_key, status)
FROM STDIN
"""
# A content that was seen before, in this file or any other, is a repeat, whatever came after it: else an
# older export, sent again, would undo a revision.
# Narrow: numbering sorts, and a sort of whole rows would spill their content to disk.
_NUMBERED = """
CREATE TEMPORARY TABLE numbered ON COMMIT DROP AS
SELECT i.place, coalesce(known.newest, 0) + row_number() OVER (PARTITION BY i.record_id ORDER BY i.place)
           AS revision
FROM (
    SELECT place, record_id, content_hash,
        row_number() OVER (PARTITION BY record_id, content_hash ORDER BY place) AS repeat
    FROM incoming
) AS i
LEFT JOIN (
    SELECT record_id, max(revision) AS newest FROM raw.landed_rows
    WHERE record_id IN (SELECT record_id FROM incoming) GROUP BY record_id
) AS known ON known.record_id = i.record_id
WHERE i.repeat = 1
  AND NOT EXISTS (
      SELECT 1 FROM raw.landed_rows AS l WHERE l.record_id = i.record_id AND l.content_hash = i.content_hash
  )
"""
_FRESH = """
CREATE TEMPORARY VIEW fresh AS
SELECT i.*, n.revision::integer AS revision FROM numbered AS n JOIN incoming AS i USING (place)
"""
_MORE_MEMORY = "SET LOCAL work_mem = '256MB'"
_LAND = """
INSERT INTO raw.landed_rows (upload_id, row_number, record_id, trade_date, kind, revision, content_hash,
                             received_at, posted_at, content)
SELECT %s, row_number, record_id, trade_date, kind, revision, content_hash, received_at, posted_at, content
FROM fresh ORDER BY place
"""
_COUNT_FRESH = """
SELECT count(*) FILTER (WHERE revision = 1), count(*) FILTER (WHERE revision > 1) FROM numbered
"""
# A revision may move a record to another day; the day it left must be rebuilt too.
_TOUCHED = """
SELECT DISTINCT trade_date FROM fresh
UNION
SELECT DISTINCT l.trade_date FROM raw.landed_rows AS l JOIN fresh AS f USING (record_id) WHERE f.revision > 1
ORDER BY 1
"""
_RECORD_UPLOAD = """
INSERT INTO raw.uploads (upload_id, file_name, sha256, source_profile, format, uploaded_by, ingested_at,
    rows_read, rows_accepted, rows_duplicate, rows_revised, rows_quarantined, rows_deleted,
    first_trade_date, last_trade_date, status, error)
VALUES (%(upload_id)s, %(file_name)s, %(sha256)s, %(source_profile)s, %(format)s, %(uploaded_by)s,
    %(ingested_at)s, %(rows_read)s, %(rows_accepted)s, %(rows_duplicate)s, %(rows_revised)s,
    %(rows_quarantined)s, %(rows_deleted)s,
    %(first_trade_date)s, %(last_trade_date)s, %(status)s, %(error)s)
"""
_UNSENDABLE = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """One attempt to bring something in; ``ingested_ns`` ns UTC, counts in records."""

    upload_id: str
    file_name: str
    sha256: str
    source_profile: str
    format: str
    uploaded_by: str
    ingested_ns: int
    rows_read: int = 0
    rows_accepted: int = 0
    rows_duplicate: int = 0
    rows_revised: int = 0
    rows_quarantined: int = 0
    rows_deleted: int = 0
    first_trade_date: date | None = None
    last_trade_date: date | None = None
    status: str = "ACCEPTED"
    error: str | None = None


class IncomingRow(NamedTuple):
    """A record on its way in; ``content_json`` is its canonical text fields.

    ``source_key`` is the source's own key of the document, where it has one besides the message id.
    """

    row_number: int
    record_id: str
    trade_date: date
    kind: str
    content_hash: str
    received_ns: int
    posted_ns: int
    content_json: str
    source_key: str | None = None


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A row that was not taken; ``content`` is the row as JSON text, ``source_key`` as in `IncomingRow`."""

    row_number: int
    trade_date: date
    record_id: str | None
    reason_codes: tuple[str, ...]
    message: str
    content: str
    message_id: str | None = None
    source_key: str | None = None


@dataclass(frozen=True, slots=True)
class LandedCounts:
    """What became of the incoming records, and the trade dates whose partitions changed (rising).

    ``deleted``: records that a full export lacks, now logged as taken back by their source. ``unnamed``: rows
    of a full export that were refused without saying which message they are, for which nothing was so logged.
    """

    accepted: int
    revised: int
    duplicate: int
    trade_dates: tuple[date, ...]
    deleted: int = 0
    unnamed: int = 0


class UploadWriter:
    """Writes one upload inside one transaction of the caller: all of it or nothing.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction; waits for other uploads to end.
    upload_id : str
        Id under which everything is stored.
    chain : str
        Chain of the signal log in which what is new is logged (`adapters.db.repos.signal_log`).
    logged_ns : int
        Moment of the upload for the log, ns UTC.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], upload_id: str, *, chain: str, logged_ns: int
    ) -> None:
        self._connection = connection
        self._upload_id = upload_id
        self.entry = LogEntry(chain, from_ns(logged_ns), upload_id)
        self._incoming = 0
        self._unnamed = 0
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        connection.execute(_INCOMING)
        connection.execute(_REFUSED_MESSAGES)

    def add(self, incoming: "pa.Table", quarantined: Sequence[QuarantinedRow]) -> None:
        """Send a chunk.

        Parameters
        ----------
        incoming : Table
            By `incoming_table`, in the order in which the records came.
        quarantined : sequence of QuarantinedRow
            What was refused meanwhile.
        """
        if len(incoming):
            with self._connection.cursor() as cursor, cursor.copy(_COPY_INCOMING) as copy:
                copy.write(_in_servers_form(incoming, self._incoming + 1))
            self._incoming += len(incoming)
        if quarantined:
            self._quarantine(quarantined)

    def _quarantine(self, rows: Sequence[QuarantinedRow]) -> None:
        named = [row.message_id for row in rows if row.message_id]
        self._unnamed += len(rows) - len(named)
        if named:
            with self._connection.cursor() as cursor, cursor.copy(_COPY_REFUSED) as copy:
                for name in named:
                    copy.write_row((_sendable(name),))
        with self._connection.cursor() as cursor, cursor.copy(_COPY_QUARANTINE) as copy:
            for place, row in enumerate(rows):
                name = derived_id("quarantine", "INGEST", self._upload_id, row.row_number, place)
                copy.write_row(
                    (
                        name,
                        "INGEST",
                        self._upload_id,
                        row.row_number,
                        row.trade_date,
                        row.record_id,
                        list(row.reason_codes),
                        _sendable(row.message),
                        _sendable(row.content),
                        self.entry.chain,
                        None if row.source_key is None else _sendable(row.source_key),
                        "OPEN",
                    )
                )

    def land(self, full_export: FullExport = FullExport.NO) -> LandedCounts:
        """Tell repeats from revisions and new records, store the latter two and log what happened.

        Parameters
        ----------
        full_export : FullExport
            Whether a known record that did not come was taken back by its source. Not so where a row was
            refused that does not say which message it is: it may be any of them.
        """
        connection = self._connection
        connection.execute(_MORE_MEMORY)
        # What the statements below join and sort by; to sample the documents would take longer than all else.
        connection.execute("ANALYZE incoming (place, record_id, content_hash)")
        lock_chain(connection, self.entry.chain)
        connection.execute(_NUMBERED)
        connection.execute("ANALYZE numbered")
        connection.execute(_FRESH)
        accepted, revised = connection.execute(_COUNT_FRESH).fetchone() or (0, 0)
        touched = tuple(row[0] for row in connection.execute(_TOUCHED).fetchall())
        connection.execute(_LAND, (self._upload_id,))
        log_restored(connection, self.entry)
        log_fresh(connection, self.entry)
        deleted = 0
        unnamed = 0 if full_export is FullExport.NO else self._unnamed
        if full_export is not FullExport.NO and self._incoming and not unnamed:
            advisors_only = full_export is FullExport.ADVISOR
            deleted = log_missing_records(connection, self.entry, advisors_only=advisors_only)
        connection.execute("DROP VIEW fresh")
        connection.execute("DROP TABLE numbered, incoming, refused_messages")
        repeated = self._incoming - accepted - revised
        return LandedCounts(accepted, revised, repeated, touched, deleted, unnamed)

    def record(self, upload: UploadRecord) -> None:
        """Store the upload's own record."""
        record_upload(self._connection, upload)


def incoming_schema() -> "pa.Schema":
    """Name columns and types of records on their way in: those of `IncomingRow`, times in µs."""
    import pyarrow as pa  # here and below: 40 MB that the live side, which reads this module, does not need

    moment = pa.timestamp("us", "UTC")
    return pa.schema(
        {
            "row_number": pa.int32(),
            "record_id": pa.string(),
            "trade_date": pa.date32(),
            "kind": pa.string(),
            "content_hash": pa.string(),
            "received_at": moment,
            "posted_at": moment,
            "content": pa.string(),
            "source_key": pa.string(),
        }
    )


def incoming_table(rows: Sequence[IncomingRow]) -> "pa.Table":
    """Put records side by side as `UploadWriter.add` takes them."""
    import pyarrow as pa

    schema = incoming_schema()
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    made = {name: list(column) for name, column in zip(schema.names, columns, strict=True)}
    for name in ("received_at", "posted_at"):
        made[name] = [ns // NS_PER_MICROSECOND for ns in made[name]]
    made["source_key"] = [None if key is None else _sendable(key) for key in made["source_key"]]
    arrays = [pa.array(made[field.name], field.type) for field in schema]
    return pa.table(arrays, schema=schema)


def _in_servers_form(incoming: "pa.Table", first_place: int) -> bytes:
    """Write records as the server keeps them, with their places in the upload."""
    import pyarrow as pa

    places = pa.array(range(first_place, first_place + len(incoming)), pa.int64())
    (batch,) = incoming.add_column(0, "place", places).combine_chunks().to_batches()
    encoder = _encoder(batch.schema)
    return b"".join((encoder.write_header(), encoder.write_batch(batch), encoder.finish()))


def _encoder(schema: "pa.Schema") -> Any:
    from pgpq import ArrowToPostgresBinaryEncoder
    from pgpq.encoders import StringEncoderBuilder
    from pgpq.schema import Jsonb

    encoders = {field.name: ArrowToPostgresBinaryEncoder.infer_encoder(field) for field in schema}
    encoders["content"] = StringEncoderBuilder.new_with_output(schema.field("content"), Jsonb())
    return ArrowToPostgresBinaryEncoder.new_with_encoders(schema, encoders)


def free_upload_id(connection: psycopg.Connection[Any], wanted: str) -> str:
    """Give an id no upload has: ``wanted``, or one derived from it.

    Only a file that comes twice at one moment of a set clock needs the latter. Waits for other uploads.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
    name, attempt = wanted, 1
    while connection.execute("SELECT 1 FROM raw.uploads WHERE upload_id = %s", (name,)).fetchone():
        attempt += 1
        name = derived_id("upload", wanted, attempt)
    return name


def record_upload(connection: psycopg.Connection[Any], upload: UploadRecord) -> None:
    """Store the record of an upload, taken or failed."""
    values = {name: getattr(upload, name) for name in UploadRecord.__slots__ if name != "ingested_ns"}
    values["ingested_at"] = from_ns(upload.ingested_ns)
    values["file_name"] = _sendable(upload.file_name)
    connection.execute(_RECORD_UPLOAD, values)


def is_uploaded(connection: psycopg.Connection[Any], sha256: str) -> bool:
    """Tell whether a file with this digest was taken before."""
    row = connection.execute(
        "SELECT 1 FROM raw.uploads WHERE sha256 = %s AND status = 'ACCEPTED' LIMIT 1", (sha256,)
    ).fetchone()
    return row is not None


# ------------------------------------------------------------------------------------------- quarantine


@dataclass(frozen=True, slots=True)
class QuarantineFilter:
    """Which quarantined rows; None = any."""

    upload_id: str | None = None
    stage: str | None = None
    reason: str | None = None
    status: str | None = "OPEN"
    first: date | None = None
    last: date | None = None


def list_quarantine(
    connection: psycopg.Connection[Any], where: QuarantineFilter, *, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yield quarantined rows, newest upload first, as dictionaries of the table's columns."""
    conditions: list[sql.Composable] = []
    values: list[object] = []
    for clause, value in (
        ("q.upload_id = %s", where.upload_id),
        ("q.stage = %s", where.stage),
        ("%s = ANY (q.reason_codes)", where.reason),
        ("q.status = %s", where.status),
        ("q.trade_date >= %s", where.first),
        ("q.trade_date <= %s", where.last),
    ):
        if value is not None:
            conditions.append(sql.SQL(clause))
            values.append(value)
    query = sql.SQL(
        "SELECT q.*, u.file_name, u.source_profile FROM raw.quarantine q"
        " LEFT JOIN raw.uploads u USING (upload_id) WHERE {} "
        "ORDER BY u.ingested_at DESC NULLS LAST, q.upload_id, q.row_number, q.stage, q.quarantine_id LIMIT {}"
    ).format(
        sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true"),
        sql.Literal(limit) if limit is not None else sql.SQL("ALL"),
    )
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(query, values)
        yield from cursor


def count_quarantine(connection: psycopg.Connection[Any]) -> list[tuple[str, str, int]]:
    """Count open rows by stage and reason, most frequent first."""
    return [
        (stage, reason, count)
        for stage, reason, count in connection.execute(
            "SELECT stage, reason, count(*) FROM raw.quarantine, unnest(reason_codes) AS reason"
            " WHERE status = 'OPEN' GROUP BY stage, reason ORDER BY count(*) DESC, stage, reason"
        ).fetchall()
    ]


def find_quarantined(connection: psycopg.Connection[Any], prefix: str) -> list[dict[str, Any]]:
    """Find rows whose id starts with ``prefix`` (at most two, enough to tell one from several)."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "SELECT q.*, u.file_name, u.source_profile, u.ingested_at FROM raw.quarantine q"
            " LEFT JOIN raw.uploads u USING (upload_id) WHERE starts_with(q.quarantine_id, %s)"
            " ORDER BY q.quarantine_id LIMIT 2",
            (prefix,),
        )
        return cursor.fetchall()


def mark_retried(connection: psycopg.Connection[Any], quarantine_ids: Sequence[str]) -> int:
    """Note that rows were taken after all."""
    cursor = connection.execute(
        "UPDATE raw.quarantine SET status = 'RETRIED' WHERE quarantine_id = ANY (%s) AND status = 'OPEN'",
        (list(quarantine_ids),),
    )
    return cursor.rowcount


def _sendable(text: str) -> str:
    return _UNSENDABLE.sub("\N{REPLACEMENT CHARACTER}", text)
