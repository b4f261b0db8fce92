"""Landing rows of an upload, its record, and the quarantine of rows that could not be taken."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, LiteralString, NamedTuple, Self

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from adapters.db.repos.signal_log import (
    LogEntry,
    changed_days,
    has_deleted,
    lock_chain,
    log_fresh,
    log_heard,
    log_missing_records,
    log_restored,
)
from propdesk.core.clock import NS_PER_MICROSECOND, from_ns
from propdesk.core.ids import derived_id
from propdesk.intake import FullExport

if TYPE_CHECKING:
    import pyarrow as pa

_LOCK_KEY: Final = 7_215_500_011
"""Uploads land one after the other: a revision's number depends on what landed before."""
_TAKE_TURN: Final = "SELECT pg_advisory_xact_lock(%s)"

# What came in, known before or not, where the log must be compared with it.
_INCOMING = """
CREATE TEMPORARY TABLE incoming (
    place bigint NOT NULL, revision integer NOT NULL, kind text NOT NULL, record_id text NOT NULL,
    advisor_id text, source_key text, claimed_at timestamptz NOT NULL, received_at timestamptz NOT NULL,
    content_hash text NOT NULL
) ON COMMIT DROP
"""
_REFUSED_MESSAGES = "CREATE TEMPORARY TABLE refused_messages (message_id text NOT NULL) ON COMMIT DROP"
_COPY_REFUSED = "COPY refused_messages (message_id) FROM STDIN"
_COPY_INCOMING = """
COPY incoming (place, revision, kind, record_id, advisor_id, source_key, claimed_at, received_at,
               content_hash)
FROM STDIN WITH (FORMAT binary)
"""
_COPY_QUARANTINE = """
COPY raw.quarantine (quarantine_id, stage, upload_id, row_number, trade_date, record_id, reason_codes,
                     message, content, chain, source_key, status)
FROM STDIN
"""
_COPY_LANDED = """
COPY raw.landed_rows (upload_id, row_number, record_id, trade_date, kind, revision, content_hash, received_at,
                      posted_at, content)
FROM STDIN WITH (FORMAT binary)
"""
# One step down the index per record, however many revisions it has.
_NEWEST = """
SELECT asked.record_id, newest.revision FROM unnest(%s::text[]) AS asked (record_id)
CROSS JOIN LATERAL (
    SELECT l.revision FROM raw.landed_rows AS l WHERE l.record_id = asked.record_id
    ORDER BY l.revision DESC LIMIT 1
) AS newest
"""
_KNOWN = """
SELECT record_id, content_hash FROM raw.landed_rows
WHERE record_id = ANY (%s::text[]) AND content_hash = ANY (%s::text[])
"""
# The table grows while a file lands: what its first rows were looked up by, before there were statistics or
# even rows, must not be a reading of the whole table for the last ones.
_BY_INDEX = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"
_AS_PLANNED = "SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL enable_bitmapscan TO DEFAULT"
_MORE_MEMORY = "SET LOCAL work_mem = '256MB'"
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
    advisor_id: str | None = None
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

    Records land while they come, in the place and with the revision that what is known gives them. Uploads
    take turns from their first row on: which of two corrections counts, and whether a full export lacks a
    record, is decided by which upload came first.

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
        self._incoming = self._accepted = self._revised = self._unnamed = 0
        self._days: set[date] = set()
        self._has_keys = False
        self._heard = _Heard()
        connection.execute(_TAKE_TURN, (_LOCK_KEY,))
        connection.execute(_REFUSED_MESSAGES)
        connection.execute(_BY_INDEX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._heard.close()

    def add(self, incoming: "pa.Table", quarantined: Sequence[QuarantinedRow]) -> None:
        """Land a chunk.

        Parameters
        ----------
        incoming : Table
            By `incoming_table`, in the order in which the records came.
        quarantined : sequence of QuarantinedRow
            What was refused meanwhile.
        """
        if len(incoming):
            self._land(incoming)
        if quarantined:
            self._quarantine(quarantined)

    def _land(self, incoming: "pa.Table") -> None:
        import pyarrow.compute as pc

        revisions = self._revisions(incoming)
        incoming = incoming.append_column("revision", revisions)
        self._heard.add(incoming)
        self._incoming += len(incoming)
        self._has_keys = self._has_keys or incoming["source_key"].null_count < len(incoming)
        fresh = incoming.filter(pc.greater(revisions, 0)) if pc.min(revisions).as_py() == 0 else incoming
        if not len(fresh):
            return
        first = pc.sum(pc.equal(fresh["revision"], 1)).as_py()
        self._accepted += first
        self._revised += len(fresh) - first
        self._days.update(fresh["trade_date"].unique().to_pylist())
        with self._connection.cursor() as cursor, cursor.copy(_COPY_LANDED) as copy:
            copy.write(_in_servers_form(_landed(fresh, self._upload_id)))

    def _revisions(self, incoming: "pa.Table") -> "pa.Array":
        """Give each record of a chunk its revision; 0: its content was seen before.

        Before is in this file or any other, whatever came after it: else an older export, sent again, would
        undo a revision.
        """
        import pyarrow as pa

        names = incoming["record_id"].to_pylist()
        distinct = sorted(set(names))
        newest: dict[str, int] = dict(self._asked(_NEWEST, distinct))
        if not newest and len(distinct) == len(names):
            return pa.repeat(pa.scalar(1, pa.int32()), len(names))
        hashes = incoming["content_hash"].to_pylist()
        asked = sorted({digest for name, digest in zip(names, hashes, strict=True) if name in newest})
        seen = set(self._asked(_KNOWN, sorted(newest), asked)) if asked else set()
        revisions = []
        for one in zip(names, hashes, strict=True):
            if one in seen:
                revisions.append(0)
                continue
            seen.add(one)
            newest[one[0]] = newest.get(one[0], 0) + 1
            revisions.append(newest[one[0]])
        return pa.array(revisions, pa.int32())

    def _asked(self, query: LiteralString, *texts: list[str]) -> list[Any]:
        # Ids and hashes hold nothing that an array's text would have to quote. Not prepared: a plan is made
        # for the values, so that the server looks hashes up in a table of them.
        values = ["{" + ",".join(one) + "}" for one in texts]
        return self._connection.execute(query, values, prepare=False).fetchall()

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
        """Log what has landed and what it says of records known before; waits for its turn in the chain.

        Parameters
        ----------
        full_export : FullExport
            Whether a known record that did not come was taken back by its source. Not so where a row was
            refused that does not say which message it is: it may be any of them.
        """
        connection, entry = self._connection, self.entry
        connection.execute(_AS_PLANNED)
        lock_chain(connection, entry.chain)
        may_be_back = has_deleted(connection, entry)
        is_searched = full_export is not FullExport.NO
        restored = deleted = 0
        if may_be_back or is_searched or self._has_keys:
            self._send_incoming()
        if may_be_back:
            restored = log_restored(connection, entry)
        log_fresh(connection, entry, self._heard.fresh())
        if self._has_keys:
            log_heard(connection, entry)
        unnamed = self._unnamed if is_searched else 0
        if is_searched and self._incoming and not unnamed:
            advisors_only = full_export is FullExport.ADVISOR
            deleted = log_missing_records(connection, entry, advisors_only=advisors_only)
        connection.execute("DROP TABLE IF EXISTS incoming")
        connection.execute("DROP TABLE refused_messages")
        # A revision may move a record to another day; the day it left must be rebuilt too.
        left = changed_days(connection, entry) if self._revised or restored else []
        repeated = self._incoming - self._accepted - self._revised
        days = tuple(sorted({*self._days, *left}))
        return LandedCounts(self._accepted, self._revised, repeated, days, deleted, unnamed)

    def _send_incoming(self) -> None:
        connection = self._connection
        connection.execute(_MORE_MEMORY)
        connection.execute(_INCOMING)
        with connection.cursor() as cursor:
            for table in self._heard.placed():
                with cursor.copy(_COPY_INCOMING) as copy:
                    copy.write(_in_servers_form(table))
        connection.execute("ANALYZE incoming")

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
            "advisor_id": pa.string(),
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


class _Heard:
    """What came in, for the log: kept in a file, so that memory stays flat."""

    def __init__(self) -> None:
        import pyarrow as pa

        moment = pa.timestamp("us", "UTC")
        self._schema = pa.schema(
            {
                "revision": pa.int32(),
                **dict.fromkeys(("kind", "record_id", "advisor_id", "source_key"), pa.string()),
                "claimed_at": moment,
                "received_at": moment,
                "content_hash": pa.string(),
            }
        )
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # the upload's context closes it
        self._writer = pa.ipc.new_stream(self._file, self._schema)

    def add(self, incoming: "pa.Table") -> None:
        """Keep a chunk with its revisions, 0 for a repeat."""
        names = ["posted_at" if name == "claimed_at" else name for name in self._schema.names]
        self._writer.write_table(incoming.select(names).rename_columns(self._schema.names))

    def fresh(self) -> "Iterator[pa.Table]":
        """Give the chunks without repeats; nothing is added from now on."""
        import pyarrow.compute as pc

        for table in self._tables():
            yield table.filter(pc.greater(table["revision"], 0))

    def placed(self) -> "Iterator[pa.Table]":
        """Give the chunks with each record's place in the upload; nothing is added from now on."""
        import pyarrow as pa

        start = 1
        for table in self._tables():
            stop = start + len(table)
            yield table.add_column(0, "place", pa.array(range(start, stop), pa.int64()))
            start = stop

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def _tables(self) -> "Iterator[pa.Table]":
        import pyarrow as pa

        self._writer.close()
        self._file.seek(0)
        for batch in pa.ipc.open_stream(self._file):
            yield pa.Table.from_batches([batch])


def _landed(fresh: "pa.Table", upload_id: str) -> "pa.Table":
    """Give the rows of ``raw.landed_rows``."""
    import pyarrow as pa

    named = fresh.append_column("upload_id", pa.repeat(pa.scalar(upload_id), len(fresh)))
    return named.select(
        [
            *("upload_id", "row_number", "record_id", "trade_date", "kind", "revision", "content_hash"),
            *("received_at", "posted_at", "content"),
        ]
    )


def _in_servers_form(rows: "pa.Table") -> bytes:
    """Write rows as the server keeps them; a json column is a text to it."""
    from pgpq import ArrowToPostgresBinaryEncoder

    (batch,) = rows.combine_chunks().to_batches()
    encoder = ArrowToPostgresBinaryEncoder(batch.schema)
    return b"".join((encoder.write_header(), encoder.write_batch(batch), encoder.finish()))


def free_upload_id(connection: psycopg.Connection[Any], wanted: str) -> str:
    """Give an id no upload has: ``wanted``, or one derived from it.

    Only a file that comes twice at one moment of a set clock needs the latter. Waits for other uploads.
    """
    connection.execute(_TAKE_TURN, (_LOCK_KEY,))
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
