"""What a trading day came to, and why a signal ended as it did."""

from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

import psycopg

from propdesk.core.errors import GapFault

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class TradeLine:
    """One executed leg; prices and money in paise, null while it is open."""

    signal_id: str
    advisor_id: str
    instrument_key: str
    side: str
    leg_number: int
    quantity: int
    entry_paise: int
    exit_paise: int | None
    exit_reason: str | None
    net_pnl_paise: int | None
    is_reverse: bool
    rule_text: str


@dataclass(frozen=True, slots=True)
class FilledLeg:
    """One leg that filled, with the names its orders carry at the broker; average prices in paise."""

    signal_id: str
    leg_number: int
    is_reverse: bool
    instrument_key: str
    correlation_ids: tuple[str, ...]
    quantity: int
    entry_paise: int
    exited_quantity: int
    exit_paise: int | None

    @property
    def group(self) -> str:
        """A name of the leg for a person."""
        return f"{self.signal_id[:8]}{'R' if self.is_reverse else ''}/{self.leg_number}"


@dataclass(frozen=True, slots=True)
class CrowdLine:
    """Ideas on one underlying that were open at the end, and all that were opened that day."""

    underlying: str
    bullish_open: int
    bearish_open: int
    opened: int


@dataclass(frozen=True, slots=True)
class DayReport:
    """Decisions by reason, trades, result and crowd of one account and day.

    ``decisions`` counts the final decision of each signal, most frequent first.
    """

    account_id: str
    trade_date: date
    signals: int
    rejected_documents: int
    decisions: tuple[tuple[str, int], ...]
    trades: tuple[TradeLine, ...]
    gross_pnl_paise: int
    charges_paise: int
    net_pnl_paise: int
    corpus_paise: int | None
    crowd: tuple[CrowdLine, ...]
    journal_rows: int
    journal_hash: str


def read_filled_legs(connection: Connection, account_id: str, trade_date: date) -> tuple[FilledLeg, ...]:
    """Read the legs of a day that filled, in the order of their entries."""
    rows = connection.execute(
        "SELECT t.signal_id, t.leg_number, t.is_reverse, t.instrument_key, "
        "array_agg(i.correlation_id ORDER BY i.correlation_id), "
        "t.quantity, t.entry_paise, t.exited_quantity, t.exit_paise FROM trading.executed_trades t "
        "JOIN trading.order_intents i USING (account_id, trade_date, group_id, leg_number) "
        "WHERE account_id = %s AND trade_date = %s AND i.kind = 'PLACE' AND t.quantity > 0 "
        "GROUP BY t.account_id, t.group_id, t.leg_number ORDER BY t.entry_ns, t.signal_id, t.leg_number",
        (account_id, trade_date),
    )
    return tuple(
        FilledLeg(signal, leg, reverse, key, tuple(names), *rest)
        for signal, leg, reverse, key, names, *rest in rows
    )


def read_day_report(connection: Connection, account_id: str, trade_date: date) -> DayReport:
    """Read the report of one day; zeros and empty lists where nothing happened."""
    key = (account_id, trade_date)
    trades = tuple(
        TradeLine(*row)
        for row in connection.execute(
            "SELECT signal_id, advisor_id, instrument_key, side, leg_number, quantity, entry_paise, "
            "exit_paise, "
            "exit_reason, net_pnl_paise, is_reverse, rule_text FROM trading.executed_trades "
            "WHERE account_id = %s AND trade_date = %s ORDER BY entry_ns, signal_id, leg_number",
            key,
        )
    )
    sums = _one(
        connection,
        "SELECT coalesce(sum(gross_pnl_paise), 0), coalesce(sum(charges_paise), 0), "
        "coalesce(sum(net_pnl_paise), 0) FROM trading.executed_trades WHERE account_id = %s AND "
        "trade_date = %s",
        key,
    )
    corpus = _one(
        connection,
        "SELECT sum(free_delta_paise + deployed_delta_paise) FROM trading.corpus_ledger "
        "WHERE account_id = %s AND trade_date = %s",
        key,
    )
    rows = _one(
        connection,
        "SELECT count(*), coalesce((array_agg(chain_hash ORDER BY seq DESC))[1], '') FROM trading.journal "
        "WHERE account_id = %s AND trade_date = %s",
        key,
    )
    documents = _one(
        connection,
        "SELECT count(*) FILTER (WHERE kind = 'SIGNAL'), count(*) FILTER (WHERE rejected_code IS NOT NULL) "
        "FROM trading.inbox WHERE account_id = %s AND journal_date = %s",
        key,
    )
    return DayReport(
        account_id=account_id,
        trade_date=trade_date,
        signals=documents[0],
        rejected_documents=documents[1],
        decisions=_decisions(connection, account_id, trade_date),
        trades=trades,
        gross_pnl_paise=int(sums[0]),
        charges_paise=int(sums[1]),
        net_pnl_paise=int(sums[2]),
        corpus_paise=None if corpus[0] is None else int(corpus[0]),
        crowd=_crowd(connection, account_id, trade_date),
        journal_rows=rows[0],
        journal_hash=rows[1],
    )


def _whole_id(connection: Connection, account_id: str, beginning: str) -> str:
    """Complete the beginning of an id."""
    rows = connection.execute(
        "SELECT DISTINCT record_id FROM trading.inbox WHERE account_id = %s AND starts_with(record_id, %s) "
        "ORDER BY record_id LIMIT 3",
        (account_id, beginning),
    ).fetchall()
    known = [str(row[0]) for row in rows]
    if beginning in known:
        return beginning
    if not known or not beginning:
        raise GapFault(
            f"Account {account_id} has received no signal {beginning}: `python3 run.py why` takes the id, or "
            "its beginning, that the list of trades or decisions shows; --account names another account."
        )
    if len(known) > 1:
        raise GapFault(
            f"Several signals begin with {beginning}: give more of the id, e.g. {' or '.join(known[:2])}."
        )
    return known[0]


def explain_signal(connection: Connection, account_id: str, signal_id: str) -> dict[str, Any]:
    """Collect everything the books know about a signal: document, decisions, group, legs, orders, fills.

    Parameters
    ----------
    connection : psycopg.Connection
    account_id : str
    signal_id : str
        Whole, or its beginning, as lists of a day show it.

    Raises
    ------
    GapFault
        If no document of this account carries the id, or several begin like it.
    """
    signal_id = _whole_id(connection, account_id, signal_id)
    inbox = _rows(
        connection,
        "SELECT inbox_id, revision, kind, document, posted_at, received_ns, rejected_text, journal_date, "
        "journal_seq FROM trading.inbox WHERE account_id = %s AND record_id = %s ORDER BY revision",
        (account_id, signal_id),
    )
    key = (account_id, signal_id)
    groups = _rows(
        connection,
        "SELECT * FROM trading.trade_groups WHERE account_id = %s AND signal_id = %s ORDER BY opened_ns",
        key,
    )
    names = [group["group_id"] for group in groups]
    by_group = (account_id, names)
    return {
        "signal_id": signal_id,
        "account_id": account_id,
        "documents": inbox,
        "decisions": _rows(
            connection,
            "SELECT * FROM trading.decisions WHERE account_id = %s AND signal_id = %s "
            "ORDER BY journal_seq, decided_ns",
            key,
        ),
        "groups": groups,
        "legs": _rows(
            connection,
            "SELECT * FROM trading.legs WHERE account_id = %s AND group_id = ANY(%s) ORDER BY group_id, "
            "leg_number",
            by_group,
        ),
        "intents": _rows(
            connection,
            "SELECT group_id, kind, leg_number, state, payload, prepared_ns, sent_ns, answered_ns, "
            "broker_order_id, reason "
            "FROM trading.order_intents WHERE account_id = %s AND group_id = ANY(%s) ORDER BY "
            "journal_seq, position",
            by_group,
        ),
        "trades": _rows(
            connection,
            "SELECT * FROM trading.executed_trades WHERE account_id = %s AND group_id = ANY(%s) "
            "ORDER BY group_id, leg_number",
            by_group,
        ),
        "crowd": _rows(
            connection,
            "SELECT underlying, direction, state, reason, cluster_id FROM trading.crowd_positions "
            "WHERE account_id = %s AND signal_id = %s",
            key,
        ),
    }


def _decisions(connection: Connection, account_id: str, trade_date: date) -> tuple[tuple[str, int], ...]:
    rows = connection.execute(
        "SELECT code, count(*) FROM (SELECT DISTINCT ON (signal_id) signal_id, code FROM trading.decisions "
        "WHERE account_id = %s AND trade_date = %s ORDER BY signal_id, journal_seq DESC, decided_ns "
        "DESC) AS final "
        "GROUP BY code ORDER BY count(*) DESC, code",
        (account_id, trade_date),
    )
    return tuple((code, count) for code, count in rows)


def _crowd(connection: Connection, account_id: str, trade_date: date) -> tuple[CrowdLine, ...]:
    rows = connection.execute(
        "SELECT underlying, count(*) FILTER (WHERE state = 'OPENED' AND direction = 'BULLISH'), "
        "count(*) FILTER (WHERE state = 'OPENED' AND direction = 'BEARISH'), count(*) "
        "FROM trading.crowd_positions WHERE account_id = %s AND trade_date = %s "
        "GROUP BY underlying ORDER BY count(*) DESC, underlying",
        (account_id, trade_date),
    )
    return tuple(CrowdLine(*row) for row in rows)


def _rows(connection: Connection, statement: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
    cursor = connection.execute(statement.encode(), values)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _one(connection: Connection, statement: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    row = connection.execute(statement.encode(), values).fetchone()
    return row if row is not None else ()
