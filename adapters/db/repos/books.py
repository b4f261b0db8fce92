"""What the desk holds and has asked of the broker, leg by leg and order by order (§7.3, §7.4)."""

from datetime import date
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.rows import dict_row

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_POSITIONS: Final = """
    SELECT g.group_id, g.signal_id, g.advisor_id, g.instrument_key, g.product, g.side, g.is_reverse,
        g.opened_ns, g.entry_type, g.entry_low_paise, g.entry_high_paise,
        l.leg_number, l.quantity, l.filled_quantity - l.exited_quantity AS held_quantity,
        l.quantity - l.filled_quantity AS waiting_quantity,
        (2 * l.entry_notional_paise + l.filled_quantity) / nullif(2 * l.filled_quantity, 0) AS entry_paise,
        l.stop_paise, l.target_paise, l.entry_ns
    FROM trading.trade_groups AS g JOIN trading.legs AS l USING (account_id, group_id)
    WHERE g.account_id = %s AND NOT g.is_closed AND NOT g.is_shadow AND l.state IN ('WORKING', 'OPEN')
    ORDER BY g.opened_ns, g.group_id, l.leg_number
"""
_ORDERS: Final = """
    SELECT i.prepared_ns, i.kind, i.group_id, i.leg_number, i.correlation_id,
        i.payload ->> 'instrument_key' AS instrument_key, i.payload ->> 'side' AS side,
        (i.payload ->> 'quantity')::bigint AS quantity,
        CASE WHEN i.state = 'WORKING' AND l.state IN ('CLOSED', 'CANCELLED') THEN 'DONE' ELSE i.state END
            AS state,
        i.broker_order_id, i.reason
    FROM trading.order_intents AS i LEFT JOIN trading.legs AS l USING (account_id, group_id, leg_number)
    WHERE i.account_id = %s AND i.trade_date = %s
    ORDER BY i.journal_seq, i.position
"""


def read_positions(connection: Connection, account_id: str) -> list[dict[str, Any]]:
    """Read every leg that is held or waits to enter, oldest trade first.

    Returns
    -------
    list of dict
        Prices in paise, moments in ns UTC; ``entry_paise`` is the average, rounded to the paisa, None before
        the first fill; ``stop_paise`` and ``target_paise`` stand now, whatever the plan of the group said.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_POSITIONS, (account_id,)).fetchall()


def read_orders(connection: Connection, account_id: str, trade_date: date) -> list[dict[str, Any]]:
    """Read what was asked of the broker on a day, in the order decided.

    Returns
    -------
    list of dict
        ``state`` is that of the intent; DONE where the broker took it and its leg is over.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_ORDERS, (account_id, trade_date)).fetchall()


def newest_order_day(connection: Connection, account_id: str) -> date | None:
    """Newest day with an order; None before the first."""
    row = connection.execute(
        "SELECT max(trade_date) FROM trading.order_intents WHERE account_id = %s", (account_id,)
    ).fetchone()
    return row[0] if row else None
