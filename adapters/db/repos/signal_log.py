"""The signal log: what was heard when, hash-chained per door, nothing ever taken back (§1.1, §6.3).

A row's hash is sha-256 over the hash before it and the row's own text, so that no row can be changed,
taken out or put in without every later hash being wrong. It is written by the statement that stores the
record; the same text is read back and hashed outside PostgreSQL by `adapters.db.repos.verify`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
from psycopg.rows import dict_row

from adapters.ahead import one_ahead

if TYPE_CHECKING:
    import pyarrow as pa  # imported where it is used: 40 MB that the live side does not need

_LOCK: Final = 12
"""Second key of the advisory lock under which one chain is appended to by one transaction at a time."""


class Change(StrEnum):
    """What happened to a record at its source."""

    POSTED = "POSTED"
    EDITED = "EDITED"
    DELETED = "DELETED"
    RESTORED = "RESTORED"


def file_chain(profile: str) -> str:
    """Name the chain of the files read by one source profile."""
    return f"file:{profile}"


def mongo_chain(database: str, collection: str) -> str:
    """Name the chain of one MongoDB collection."""
    return f"mongo:{database}.{collection}"


def inbox_chain(account_id: str) -> str:
    """Name the chain of one account's live inbox."""
    return f"inbox:{account_id}"


# Microseconds, as PostgreSQL keeps them: the same number in any zone and any version. Extracted as numeric
# and only then made whole, so that nothing is rounded.
PAYLOAD: Final[LiteralString] = """
concat_ws(E'\\x1f', chain, seq, (extract(epoch FROM logged_at) * 1000000)::bigint, change, kind, record_id,
    revision, coalesce(advisor_id, ''), origin, coalesce(source_key, ''),
    coalesce((extract(epoch FROM claimed_at) * 1000000)::bigint::text, ''),
    coalesce((extract(epoch FROM received_at) * 1000000)::bigint::text, ''), content_hash)
"""
"""Text of a row that is hashed, as an SQL expression over its columns."""

_APPEND_START: Final[LiteralString] = """
INSERT INTO raw.signal_log (chain, seq, logged_at, change, kind, record_id, revision, advisor_id, origin,
    source_key, claimed_at, received_at, content_hash, previous_hash, hash)
SELECT chain, seq, logged_at, change, kind, record_id, revision, advisor_id, origin, source_key, claimed_at,
    received_at, content_hash, coalesce(lag(digest) OVER (ORDER BY seq), head), digest
FROM (
    SELECT *, raw.chain_hash(head, """
_APPEND_PLACED: Final[LiteralString] = """) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS digest
    FROM (
        SELECT %(chain)s::text AS chain, head.seq + row_number() OVER (ORDER BY n.place) AS seq,
            %(logged_at)s::timestamptz AS logged_at, %(origin)s::text AS origin, head.hash AS head, n.*
        FROM (SELECT coalesce(max(last.seq), 0) AS seq, coalesce((array_agg(last.hash))[1], '') AS hash
              FROM (SELECT seq, hash FROM raw.signal_log WHERE chain = %(chain)s
                    ORDER BY seq DESC LIMIT 1) AS last) AS head,
            ("""
_APPEND_END: Final[LiteralString] = """) AS n
    ) AS placed
) AS chained
ORDER BY seq
"""
_HEAD: Final = "SELECT seq, hash FROM raw.signal_log WHERE chain = %s ORDER BY seq DESC LIMIT 1"
_COPY: Final = """
COPY raw.signal_log (chain, seq, logged_at, change, kind, record_id, revision, advisor_id, origin, source_key,
                     claimed_at, received_at, content_hash, previous_hash, hash)
FROM STDIN WITH (FORMAT binary)
"""
_BETWEEN: Final = "\x1f"
# A document that landed before by another door is no news to the pipeline, but this door heard it too.
_HEARD: Final[LiteralString] = """
SELECT DISTINCT ON (i.record_id, i.content_hash)
    i.place, 'POSTED' AS change, i.kind, i.record_id,
    r.revision, i.advisor_id, i.source_key,
    i.claimed_at, i.received_at, i.content_hash
FROM incoming AS i JOIN raw.landed_rows AS r ON r.record_id = i.record_id AND r.content_hash = i.content_hash
WHERE i.source_key IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM raw.signal_log AS l WHERE l.chain = %(chain)s AND l.source_key = i.source_key
                  AND l.record_id = i.record_id AND l.content_hash = i.content_hash)
ORDER BY i.record_id, i.content_hash, i.place
"""
# Where a record stands: the newest row of it in this chain.
_STANDING: Final[LiteralString] = """
SELECT DISTINCT ON (l.record_id) l.seq AS place, l.change, l.kind, l.record_id, l.revision, l.advisor_id,
    l.source_key, l.claimed_at, l.received_at, l.content_hash
FROM raw.signal_log AS l WHERE l.chain = %(chain)s AND """
_STANDING_ORDER: Final[LiteralString] = " ORDER BY l.record_id, l.seq DESC"
_AS_DELETED: Final[LiteralString] = """
SELECT place, 'DELETED' AS change, kind, record_id, revision, advisor_id, source_key, claimed_at, received_at,
    content_hash
FROM ("""
_AS_RESTORED: Final[LiteralString] = """
SELECT place, 'RESTORED' AS change, kind, record_id, revision, advisor_id, source_key, claimed_at,
    received_at, content_hash
FROM ("""
_APPEND_ONE: Final[LiteralString] = """
SELECT 1 AS place, %(change)s::text AS change, %(kind)s::text AS kind, %(record)s::text AS record_id,
    %(revision)s::integer AS revision, %(advisor)s::text AS advisor_id, NULL::text AS source_key,
    %(posted)s::timestamptz AS claimed_at, %(received)s::timestamptz AS received_at,
    %(hash)s::text AS content_hash
"""


def _append(*rows: LiteralString) -> LiteralString:
    """Build the statement that appends what a query over several parts gives."""
    return "".join((_APPEND_START, PAYLOAD, _APPEND_PLACED, *rows, _APPEND_END))


APPEND_LIVE: Final = _append(_APPEND_ONE)
"""One row of the live inbox; see `adapters.db.repos.inbox`."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Whose chain, when (aware UTC) and under which upload rows are logged."""

    chain: str
    logged_at: datetime
    origin: str

    def values(self) -> dict[str, object]:
        """Give the parameters of the statements."""
        return {"chain": self.chain, "logged_at": self.logged_at, "origin": self.origin}


def lock_chain(connection: psycopg.Connection[Any], chain: str) -> None:
    """Make other writers of a chain wait until this transaction ends, so that it never forks."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", (chain, _LOCK))


def log_fresh(connection: psycopg.Connection[Any], entry: LogEntry, fresh: "Iterable[pa.Table]") -> None:
    """Log records that are new or changed; the chain is locked by the caller.

    Parameters
    ----------
    fresh : iterable of Table
        In the order of the chain: ``kind``, ``record_id``, ``revision``, ``advisor_id``, ``source_key``,
        ``claimed_at``, ``received_at`` (µs), ``content_hash``.

    Notes
    -----
    The hashes are made here, not by the statement that appends a few rows: hashing a row takes less than
    PostgreSQL needs to call a function. `adapters.db.repos.verify` reads back what `PAYLOAD` makes of them.
    """
    seq, head = connection.execute(_HEAD, (entry.chain,)).fetchone() or (0, b"")
    chained = _chained(fresh, entry, seq, head)
    first = next(chained, None)
    if first is None:
        return
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.write(first)
        for block in one_ahead(chained):
            copy.write(block)


def _chained(fresh: "Iterable[pa.Table]", entry: LogEntry, seq: int, head: bytes) -> Iterator[bytes]:
    """Chain rows after ``head`` and give them in the server's own form."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pgpq import ArrowToPostgresBinaryEncoder

    encoder = None
    for rows in fresh:
        count = len(rows)
        if not count:
            continue
        changes = pc.if_else(pc.equal(rows["revision"], 1), Change.POSTED.value, Change.EDITED.value)
        columns: dict[str, pa.Array] = {
            "chain": pa.repeat(pa.scalar(entry.chain), count),
            "seq": pa.array(range(seq + 1, seq + count + 1), pa.int64()),
            "logged_at": pa.repeat(pa.scalar(entry.logged_at, pa.timestamp("us", "UTC")), count),
            "change": changes,
            **{name: rows[name] for name in ("kind", "record_id", "revision", "advisor_id")},
            "origin": pa.repeat(pa.scalar(entry.origin), count),
            **{name: rows[name] for name in ("source_key", "claimed_at", "received_at", "content_hash")},
        }
        digests = _digests(_payloads(columns), head)
        columns["previous_hash"] = pa.array([head, *digests[:-1]], pa.binary())
        columns["hash"] = pa.array(digests, pa.binary())
        seq, head = seq + count, digests[-1]
        (batch,) = pa.table(columns).combine_chunks().to_batches()
        if encoder is None:
            encoder = ArrowToPostgresBinaryEncoder(batch.schema)
            yield encoder.write_header()
        yield encoder.write_batch(batch)
    if encoder is not None:
        yield encoder.finish()


def _payloads(columns: "dict[str, pa.Array]") -> list[bytes]:
    """Write the rows' texts as `PAYLOAD` does."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = []
    for column in columns.values():
        plain = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        texts.append(pc.coalesce(plain.cast(pa.string()), ""))
    joined = pc.binary_join_element_wise(*texts, _BETWEEN).cast(pa.binary())
    return list(joined.to_pylist())


def _digests(payloads: Iterable[bytes], head: bytes) -> list[bytes]:
    digests = []
    sha256 = hashlib.sha256
    for payload in payloads:
        head = sha256(head + payload).digest()
        digests.append(head)
    return digests


def log_heard(connection: psycopg.Connection[Any], entry: LogEntry) -> None:
    """Log documents of the temporary table ``incoming`` that had landed by another door before.

    So that their deletion by this door's source is noticed.
    """
    connection.execute(_append(_HEARD), entry.values())


def has_deleted(connection: psycopg.Connection[Any], entry: LogEntry) -> bool:
    """Whether anything of a chain was ever taken back."""
    gone = connection.execute(
        "SELECT 1 FROM raw.signal_log WHERE chain = %s AND change = 'DELETED' LIMIT 1", (entry.chain,)
    ).fetchone()
    return gone is not None


def log_restored(connection: psycopg.Connection[Any], entry: LogEntry) -> int:
    """Log that records of the temporary table ``incoming`` are back which the source had taken back."""
    # Only a changed record can have been deleted, and for those there is an index.
    once_gone: LiteralString = "l.change <> 'POSTED' AND l.record_id IN (SELECT record_id FROM incoming)"
    query = _append(
        _AS_RESTORED,
        _STANDING,
        once_gone,
        _STANDING_ORDER,
        ") AS standing WHERE change = 'DELETED'",
    )
    return connection.execute(query, entry.values()).rowcount


def log_deleted_keys(connection: psycopg.Connection[Any], entry: LogEntry, keys: Sequence[str]) -> int:
    """Log that the source took documents back, by its own keys; what is not known or gone is passed over.

    Returns
    -------
    int
        Records logged as DELETED; their content stays where it is.
    """
    query = _append(
        _AS_DELETED,
        _STANDING,
        "l.source_key = ANY (%(keys)s)",
        _STANDING_ORDER,
        ") AS standing WHERE change <> 'DELETED'",
    )
    return connection.execute(query, {**entry.values(), "keys": list(keys)}).rowcount


def log_missing_records(connection: psycopg.Connection[Any], entry: LogEntry, *, advisors_only: bool) -> int:
    """Log records that a file lacks although it is a full export of its source.

    Parameters
    ----------
    advisors_only : bool
        True: the file is complete for the advisors it names, and says nothing about others.

    Returns
    -------
    int
        Records logged as DELETED.

    Notes
    -----
    A message that is there but could not be read (temporary table ``refused_messages``) is not missing.
    """
    scope: LiteralString = (
        "l.advisor_id IN (SELECT DISTINCT advisor_id FROM incoming)" if advisors_only else "true"
    )
    query = _append(
        _AS_DELETED,
        _STANDING,
        scope,
        _STANDING_ORDER,
        ") AS standing WHERE change <> 'DELETED'",
        " AND NOT EXISTS (SELECT 1 FROM incoming AS i WHERE i.record_id = standing.record_id)",
        " AND NOT EXISTS (SELECT 1 FROM raw.landed_rows AS r JOIN refused_messages AS m",
        "   ON m.message_id = r.content ->> 'source_message_id' WHERE r.record_id = standing.record_id)",
    )
    return connection.execute(query, entry.values()).rowcount


def changed_days(connection: psycopg.Connection[Any], entry: LogEntry) -> list[date]:
    """Give the trade dates of the records that this upload logged as edited, deleted or restored."""
    rows = connection.execute(
        "SELECT DISTINCT r.trade_date FROM raw.signal_log AS l JOIN raw.landed_rows AS r USING (record_id)"
        " WHERE l.change <> 'POSTED' AND l.chain = %s AND l.origin = %s ORDER BY 1",
        (entry.chain, entry.origin),
    ).fetchall()
    return [row[0] for row in rows]


def read_versions(connection: psycopg.Connection[Any], record_id: str) -> list[dict[str, Any]]:
    """Give every version of one record in the order it was heard, with its content where it landed."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "SELECT l.chain, l.seq, l.logged_at, l.change, l.kind, l.revision, l.advisor_id, l.claimed_at,"
            " l.received_at, l.origin, encode(l.hash, 'hex') AS hash, r.content"
            " FROM raw.signal_log AS l LEFT JOIN raw.landed_rows AS r"
            " ON r.record_id = l.record_id AND r.content_hash = l.content_hash"
            " WHERE l.record_id = %s ORDER BY l.logged_at, l.chain, l.seq",
            (record_id,),
        )
        return cursor.fetchall()
