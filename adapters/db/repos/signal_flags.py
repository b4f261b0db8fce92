"""How advisors keep their word: counts over the signal log and the flags of their ideas."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

_CONDUCT = """
WITH heard AS (
    SELECT advisor_id, count(DISTINCT record_id) FILTER (WHERE kind = 'SIGNAL') AS ideas,
        count(DISTINCT record_id) FILTER (WHERE change = 'EDITED') AS edited,
        count(DISTINCT record_id) FILTER (WHERE change = 'DELETED') AS deleted,
        max(claimed_at) AS last_heard_at
    FROM raw.signal_log WHERE advisor_id IS NOT NULL GROUP BY advisor_id
), judged AS (
    SELECT advisor_id, count(*) AS judged,
        count(*) FILTER (WHERE 'BACK_DATED' = ANY (flags)) AS back_dated,
        count(*) FILTER (WHERE 'POSTED_AFTER_MOVE' = ANY (flags)) AS posted_after_move,
        count(*) FILTER (WHERE 'RECEIVED_AFTER_MOVE' = ANY (flags)) AS received_after_move,
        count(*) FILTER (WHERE 'EDITED_AFTER_MOVE' = ANY (flags)) AS edited_after_move
    FROM research.signal_flags GROUP BY advisor_id
), linked AS (
    SELECT advisor_id, count(*) FILTER (WHERE duplicate_of IS NOT NULL) AS reposts,
        count(*) FILTER (WHERE copied_from IS NOT NULL) AS copies
    FROM research.resolved_signals GROUP BY advisor_id
), lost AS (
    SELECT advisor_id, count(*) FILTER (WHERE signal_id IS NULL) AS orphans
    FROM research.followups GROUP BY advisor_id
), counted AS (
    SELECT advisor_id, count(*) FILTER (WHERE is_counted) AS counted FROM research.trades GROUP BY advisor_id
)
SELECT h.advisor_id, h.ideas, coalesce(c.counted, 0) AS counted, h.edited, h.deleted,
    coalesce(j.back_dated, 0) AS back_dated, coalesce(j.posted_after_move, 0) AS posted_after_move,
    coalesce(j.received_after_move, 0) AS received_after_move,
    coalesce(j.edited_after_move, 0) AS edited_after_move, coalesce(k.reposts, 0) AS reposts,
    coalesce(k.copies, 0) AS copies, coalesce(o.orphans, 0) AS orphans, h.last_heard_at
FROM heard AS h LEFT JOIN judged AS j USING (advisor_id) LEFT JOIN counted AS c USING (advisor_id)
LEFT JOIN linked AS k USING (advisor_id) LEFT JOIN lost AS o USING (advisor_id)
ORDER BY h.advisor_id
"""


def advisor_conduct(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Count per advisor ever heard, also one that fell silent or took everything back.

    Returns
    -------
    list of dict
        advisor_id, ideas (ever heard), counted (trades in the metrics), edited, deleted (ever), back_dated,
        posted_after_move, received_after_move, edited_after_move, reposts, copies (of others),
        orphans (follow-ups that match no signal), last_heard_at.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_CONDUCT)
        return cursor.fetchall()
