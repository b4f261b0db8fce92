"""Reads and writes of steps 1 to 4 by range of trade dates, so that an asset is read, call, write."""

from datetime import date

import pandas as pd

from adapters.db.frames.copy import Connection, append_frame, driver_connection, read_frame, replace_range
from propdesk.core.ids import derived_id

# A record whose newer revision lies on a day outside the range has left the range: its older
# revisions must not be read for it.
_LANDED = """
SELECT l.upload_id, l.row_number, l.trade_date, l.kind, l.record_id, l.revision, l.content_hash,
       l.received_at, l.posted_at, l.content
FROM raw.landed_rows AS l
WHERE l.trade_date BETWEEN %(first)s AND %(last)s
  AND NOT EXISTS (
      SELECT 1 FROM raw.landed_rows AS newer
      WHERE newer.record_id = l.record_id AND newer.revision > l.revision
        AND newer.trade_date NOT BETWEEN %(first)s AND %(last)s
  )
ORDER BY l.record_id, l.revision
"""
_EARLIER_SIGNALS = """
SELECT trade_date, signal_id, advisor_id, symbol_text, received_at FROM research.validated_signals
WHERE trade_date < %(first)s AND trade_date >= %(oldest)s ORDER BY trade_date, signal_id
"""
_EARLIER_RESOLVED = """
SELECT r.signal_id, r.advisor_id, r.instrument_key, r.side, r.entry_low_paise, r.entry_high_paise,
       r.stoploss_paise, r.targets_paise, r.received_at, r.duplicate_of
FROM research.resolved_signals AS r
WHERE r.trade_date < %(first)s
  AND r.received_at >= (SELECT min(received_at) FROM research.normalised_signals
                        WHERE trade_date BETWEEN %(first)s AND %(last)s) - make_interval(mins => %(minutes)s)
ORDER BY r.received_at, r.signal_id
"""
# Who can prove when an edit was made: the live inbox by its own clock, a message by the stamp it carries, a
# file only by the moment it came.
_VERSIONS = """
SELECT v.record_id, v.change, v.changed_at FROM (
    SELECT l.record_id, l.change, l.logged_at, l.chain, l.seq,
        CASE WHEN l.change <> 'EDITED' THEN l.logged_at
             WHEN l.chain LIKE 'inbox:%%' THEN l.received_at
             WHEN r.content ->> 'edited_at' IS NOT NULL THEN r.received_at
             ELSE l.logged_at END AS changed_at
    FROM raw.signal_log AS l
    LEFT JOIN raw.landed_rows AS r ON r.record_id = l.record_id AND r.content_hash = l.content_hash
    WHERE l.change <> 'POSTED' AND l.record_id IN
        (SELECT signal_id FROM research.resolved_signals WHERE trade_date BETWEEN %(first)s AND %(last)s)
    UNION ALL
    SELECT s.record_id, 'EDITED', s.received_at, '', 0, s.received_at FROM raw.raw_signals AS s
    WHERE s.revision = 1 AND s.content ? 'edited_at' AND s.trade_date BETWEEN %(first)s AND %(last)s
) AS v
ORDER BY v.record_id, v.logged_at, v.chain, v.seq, v.change
"""
_QUARANTINE_STAGES = ("VALIDATE", "NORMALISE", "RESOLVE")
_RAW = "SELECT * FROM raw.raw_signals WHERE trade_date BETWEEN %s AND %s ORDER BY trade_date, record_id"
_VALIDATED = """
SELECT * FROM research.validated_signals WHERE trade_date BETWEEN %s AND %s ORDER BY trade_date, signal_id
"""
_FOLLOWUPS = """
SELECT * FROM research.followups WHERE trade_date BETWEEN %s AND %s ORDER BY trade_date, followup_id
"""
_NORMALISED = """
SELECT * FROM research.normalised_signals WHERE trade_date BETWEEN %s AND %s ORDER BY trade_date, signal_id
"""
_RESOLVED = """
SELECT * FROM research.resolved_signals WHERE trade_date BETWEEN %s AND %s ORDER BY trade_date, signal_id
"""


def read_landed(connection: Connection, first: date, last: date) -> pd.DataFrame:
    """Read the landed rows that may count on the closed range of trade dates."""
    return read_frame(connection, _LANDED, {"first": first, "last": last})


def read_raw_signals(connection: Connection, first: date, last: date) -> pd.DataFrame:
    """Read step 1."""
    return read_frame(connection, _RAW, (first, last))


def read_validated_signals(connection: Connection, first: date, last: date) -> pd.DataFrame:
    """Read step 2's signals."""
    return read_frame(connection, _VALIDATED, (first, last))


def read_followups_of_signals(connection: Connection, first: date, last: date) -> pd.DataFrame:
    """Read the follow-ups, of any day, to the resolved signals of a range of trade dates."""
    return read_frame(
        connection,
        "SELECT f.* FROM research.followups AS f WHERE f.signal_id IN"
        " (SELECT signal_id FROM research.resolved_signals WHERE trade_date BETWEEN %s AND %s)"
        " ORDER BY f.signal_id, f.received_at, f.followup_id",
        (first, last),
    )


def read_normalised_signals(connection: Connection, first: date, last: date) -> pd.DataFrame:
    """Read step 3."""
    return read_frame(connection, _NORMALISED, (first, last))


def read_resolved_signals(connection: Connection, first: date, last: date) -> pd.DataFrame:
    """Read step 4."""
    return read_frame(connection, _RESOLVED, (first, last))


def read_versions(connection: Connection, first: date, last: date) -> pd.DataFrame:
    """Read what the signal log says of the resolved signals of a range beyond their first posting."""
    return read_frame(connection, _VERSIONS, {"first": first, "last": last})


def write_signal_flags(connection: Connection, frame: pd.DataFrame, first: date, last: date) -> int:
    """Replace the flags of the range."""
    return _replace(connection, "research.signal_flags", frame, first, last)


def read_earlier_signals(connection: Connection, first: date, oldest: date) -> pd.DataFrame:
    """Read what follow-ups of a range may refer to: signals with trade date in [oldest, first)."""
    return read_frame(connection, _EARLIER_SIGNALS, {"first": first, "oldest": oldest})


def read_earlier_resolved(
    connection: Connection, first: date, last: date, reach_minutes: int = 30
) -> pd.DataFrame:
    """Read resolved signals before the range that its first ones may repeat or copy."""
    return read_frame(connection, _EARLIER_RESOLVED, {"first": first, "last": last, "minutes": reach_minutes})


def write_raw_signals(connection: Connection, frame: pd.DataFrame, first: date, last: date) -> int:
    """Replace step 1 in the range."""
    return _replace(connection, "raw.raw_signals", frame, first, last)


def write_validated_signals(connection: Connection, frame: pd.DataFrame, first: date, last: date) -> int:
    """Replace step 2's signals in the range."""
    return _replace(connection, "research.validated_signals", frame, first, last)


def write_followups(connection: Connection, frame: pd.DataFrame, first: date, last: date) -> int:
    """Replace step 2's follow-ups in the range."""
    return _replace(connection, "research.followups", frame, first, last)


def write_normalised_signals(connection: Connection, frame: pd.DataFrame, first: date, last: date) -> int:
    """Replace step 3 in the range."""
    return _replace(connection, "research.normalised_signals", frame, first, last)


def write_resolved_signals(connection: Connection, frame: pd.DataFrame, first: date, last: date) -> int:
    """Replace step 4 in the range."""
    return _replace(connection, "research.resolved_signals", frame, first, last)


def write_rejected(connection: Connection, stage: str, frame: pd.DataFrame, first: date, last: date) -> int:
    """Replace one stage's quarantined rows in the range.

    Parameters
    ----------
    stage : str
        VALIDATE, NORMALISE or RESOLVE; what uploads refused (INGEST) is never replaced.
    frame : DataFrame
        Columns of `propdesk.pipeline.columns.REJECTED_COLUMNS`.

    Returns
    -------
    int
        Rows written.
    """
    if stage not in _QUARANTINE_STAGES:
        raise ValueError(f"{stage!r} is none of {', '.join(_QUARANTINE_STAGES)}")
    driver_connection(connection).execute(
        "DELETE FROM raw.quarantine WHERE stage = %s AND trade_date BETWEEN %s AND %s", (stage, first, last)
    )
    if frame.empty:
        return 0
    ids = [
        derived_id("quarantine", stage, upload_id, row_number, record_id)
        for upload_id, row_number, record_id in zip(
            frame["upload_id"].tolist(),
            frame["row_number"].tolist(),
            frame["record_id"].tolist(),
            strict=True,
        )
    ]
    # The door a row came by is known of what uploads refused only: what got further stands in raw_signals.
    added = {"quarantine_id": ids, "status": "OPEN", "chain": None, "source_key": None}
    return append_frame(connection, "raw.quarantine", frame.assign(**added))


def rejected_by_reason(frame: pd.DataFrame) -> dict[str, int]:
    """Count refused rows by reason code, for an asset's metadata; most frequent first."""
    counts = frame["reason_codes"].explode().value_counts()
    return {str(code): int(count) for code, count in counts.items()}


def _replace(connection: Connection, table: str, frame: pd.DataFrame, first: date, last: date) -> int:
    return replace_range(connection, table, frame, partition_column="trade_date", first=first, last=last)
