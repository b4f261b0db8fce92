"""Walk every hash chain and say where the first one breaks (§6.3, reliability S19)."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import orjson
import psycopg

from adapters.db.repos.audit import FIRST_HASH, audit_hash
from adapters.db.repos.signal_log import PAYLOAD
from propdesk.core.ids import content_hash
from propdesk.intake.parse import canonical_text

_FETCH: Final = 20_000
_SIGNAL_LOG: Final[LiteralString] = "".join(
    ("SELECT seq, previous_hash, hash, ", PAYLOAD, " FROM raw.signal_log WHERE chain = %s ORDER BY seq")
)
_AUDIT_LOG: Final = (
    "SELECT seq, logged_at, actor, action, detail, previous_hash, hash FROM audit.log "
    "WHERE account_id = %s ORDER BY seq"
)
_UNLOGGED: Final = """
SELECT r.upload_id, r.row_number, r.record_id FROM raw.landed_rows AS r
WHERE NOT EXISTS (SELECT 1 FROM raw.signal_log AS l
                  WHERE l.record_id = r.record_id AND l.content_hash = r.content_hash)
ORDER BY r.upload_id, r.row_number, r.record_id LIMIT 1
"""
_VANISHED: Final = """
SELECT l.chain, l.seq, l.record_id FROM raw.signal_log AS l
WHERE l.chain NOT LIKE 'inbox:%%'
  AND NOT EXISTS (SELECT 1 FROM raw.landed_rows AS r
                  WHERE r.record_id = l.record_id AND r.content_hash = l.content_hash)
ORDER BY l.chain, l.seq LIMIT 1
"""
_INBOX_UNLOGGED: Final = """
SELECT i.account_id, i.inbox_id, i.source_key FROM trading.inbox AS i
WHERE NOT EXISTS (SELECT 1 FROM raw.signal_log AS l WHERE l.chain = 'inbox:' || i.account_id
                  AND l.origin = i.inbox_id::text AND l.content_hash = i.content_hash)
ORDER BY i.account_id, i.inbox_id LIMIT 1
"""
# Both sides are read whole. Without statistics, as after a first large upload, the planner thinks them short
# and would look one row after the other up.
_WHOLE_TABLES: Final = "SET LOCAL enable_nestloop = off; SET LOCAL work_mem = '128MB'"
_INBOX_VANISHED: Final = """
SELECT l.chain, l.seq, l.record_id FROM raw.signal_log AS l
WHERE l.chain LIKE 'inbox:%%'
  AND NOT EXISTS (SELECT 1 FROM trading.inbox AS i WHERE 'inbox:' || i.account_id = l.chain
                  AND i.inbox_id::text = l.origin AND i.content_hash = l.content_hash)
ORDER BY l.chain, l.seq LIMIT 1
"""

Connection = psycopg.Connection[Any]
DocumentHash = Callable[[Mapping[str, object]], str]


@dataclass(frozen=True, slots=True)
class Break:
    """The first place that does not hold: which row, and what is wrong with it."""

    row: str
    what: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One chain or comparison: rows walked (None: none is), hash of the last (hex, or empty), first break."""

    name: str
    rows: int | None
    head: str
    broken: Break | None


def verify_all(
    connection: Connection,
    document_hash: DocumentHash,
    heads: Mapping[str, tuple[int, str]] | None = None,
) -> Iterator[Verdict]:
    """Verify every chain, then that the tables hold exactly what the chains say.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction, so that all is read as of one moment where it is repeatable read.
    document_hash : callable
        Hash of a document of the inbox, as it was computed when it was stored.
    heads : mapping of str to (int, str), optional
        Rows and head hash of chains as an earlier verification printed them: a chain that was cut short or
        written anew since is consistent in itself and is found by this only.

    Yields
    ------
    Verdict
        In a fixed order: audit logs, signal chains, landed rows, inbox, the two comparisons, heads.
    """
    found: dict[str, Verdict] = {}
    for account in _names(connection, "SELECT DISTINCT account_id FROM audit.log ORDER BY 1"):
        found[f"audit:{account}"] = verify_audit_log(connection, account)
        yield found[f"audit:{account}"]
    for chain in _names(connection, "SELECT DISTINCT chain FROM raw.signal_log ORDER BY 1"):
        found[chain] = verify_signal_chain(connection, chain)
        yield found[chain]
    yield _verify_landed(connection)
    yield _verify_inbox(connection, document_hash)
    yield from _verify_presence(connection)
    for name, (rows, head) in sorted((heads or {}).items()):
        yield _verify_head(connection, name, rows, head)


def verify_audit_log(connection: Connection, account_id: str) -> Verdict:
    """Walk the audit log of one account."""
    previous, count = FIRST_HASH, 0
    for seq, logged_at, actor, action, detail, previous_hash, digest in _stream(
        connection, _AUDIT_LOG, (account_id,)
    ):
        wanted = audit_hash(previous, account_id, seq, logged_at, actor, action, detail)
        what = _fault(seq, count + 1, previous_hash == previous, digest == wanted)
        if what is not None:
            return Verdict(f"audit:{account_id}", count, previous, Break(f"seq {seq}", what))
        previous, count = digest, count + 1
    return Verdict(f"audit:{account_id}", count, previous, None)


def verify_signal_chain(connection: Connection, chain: str) -> Verdict:
    """Walk one chain of the signal log."""
    previous, count = b"", 0
    sha256 = hashlib.sha256
    for seq, previous_hash, digest, payload in _stream(connection, _SIGNAL_LOG, (chain,)):
        wanted = sha256(previous + payload.encode()).digest()
        if digest != wanted or previous_hash != previous or seq != count + 1:
            what = _fault(seq, count + 1, previous_hash == previous, digest == wanted) or ""
            return Verdict(chain, count, previous.hex(), Break(f"seq {seq}", what))
        previous, count = digest, count + 1
    return Verdict(chain, count, previous.hex(), None)


def _fault(seq: int, expected: int, follows: bool, matches: bool) -> str | None:
    if seq != expected:
        return f"row {expected} is missing before it"
    if not follows:
        return "its previous_hash is not the hash of the row before"
    return None if matches else "its content does not give its hash: it was changed"


def _verify_landed(connection: Connection) -> Verdict:
    """Hash the content of every landed row anew."""
    count = 0
    query = "SELECT upload_id, row_number, record_id, content_hash, content::text FROM raw.landed_rows"
    for upload_id, row_number, record_id, digest, content in _stream(connection, query, ()):
        if content_hash(canonical_text(orjson.loads(content))) != digest:
            row = f"record {record_id} (upload {upload_id}, row {row_number})"
            return Verdict(
                "raw.landed_rows", count, "", Break(row, "its content does not give its content_hash")
            )
        count += 1
    return Verdict("raw.landed_rows", count, "", None)


def _verify_inbox(connection: Connection, document_hash: DocumentHash) -> Verdict:
    count = 0
    query = "SELECT account_id, inbox_id, content_hash, document FROM trading.inbox ORDER BY 1, 2"
    for account_id, inbox_id, digest, document in _stream(connection, query, ()):
        if document_hash(document) != digest:
            row = f"account {account_id}, inbox_id {inbox_id}"
            return Verdict(
                "trading.inbox", count, "", Break(row, "its document does not give its content_hash")
            )
        count += 1
    return Verdict("trading.inbox", count, "", None)


def _verify_presence(connection: Connection) -> Iterator[Verdict]:
    """Compare the log with the tables it speaks of."""
    connection.execute(_WHOLE_TABLES)
    for name, query, what in (
        ("landed rows in the log", _UNLOGGED, "it stands in raw.landed_rows but was never logged"),
        ("logged rows that landed", _VANISHED, "it is logged but gone from raw.landed_rows, or changed"),
        ("inbox rows in the log", _INBOX_UNLOGGED, "it stands in trading.inbox but was never logged"),
        ("logged rows in the inbox", _INBOX_VANISHED, "it is logged but gone from trading.inbox, or changed"),
    ):
        row = connection.execute(query).fetchone()
        broken = None if row is None else Break(" · ".join(map(str, row)), what)
        yield Verdict(name, None, "", broken)


def _verify_head(connection: Connection, name: str, rows: int, head: str) -> Verdict:
    """Look for a head that was noted earlier."""
    title = f"head of {name} noted earlier"
    if rows == 0:
        return Verdict(title, 0, head, None)
    if name.startswith("audit:"):
        query, key = "SELECT hash FROM audit.log WHERE account_id = %s AND seq = %s", name[len("audit:") :]
    else:
        query, key = "SELECT encode(hash, 'hex') FROM raw.signal_log WHERE chain = %s AND seq = %s", name
    row = connection.execute(query, (key, rows)).fetchone()
    if row is None:
        return Verdict(title, rows, head, Break(f"seq {rows}", "the chain was cut: the row is gone"))
    broken = None if row[0] == head else Break(f"seq {rows}", "the chain was written anew up to here")
    return Verdict(title, rows, head, broken)


def _names(connection: Connection, query: LiteralString) -> list[str]:
    return [str(row[0]) for row in connection.execute(query).fetchall()]


def _stream(
    connection: Connection, query: LiteralString, values: tuple[object, ...]
) -> Iterator[tuple[Any, ...]]:
    """Read rows without holding them all."""
    with connection.cursor(name="verify", binary=True) as cursor:
        cursor.itersize = _FETCH
        cursor.execute(query, values)
        yield from cursor
