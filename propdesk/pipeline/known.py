"""What a table could know at the end of a day: which columns of which rows time itself may still change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from propdesk.model.enums import EntryType

Row = Mapping[str, Any]
"""A row as JSON gives it: days as ``2025-06-04``, moments as ``2025-06-04T10:00:00+00:00``."""

WHOLE_ROW: Final = "(whole row)"
"""Named in place of columns where one side has no such row."""

_ENTRY: Final = frozenset({
    "entry_at", "entry_date", "entry_paise", "notional_paise", "leverage", "risk_paise", "is_expiry_day",
    "days_to_expiry", "moneyness", "traded_value_share", "is_counted",
})  # fmt: skip
"""Of a trade: known from its entry on."""
_SIZE: Final = frozenset({
    "lots", "quantity", "margin_paise", "desk_lots", "desk_quantity", "desk_margin_paise", "product_reason",
})  # fmt: skip
"""Of an idea at market known from its entry on, by whose price it is sized; of any other before it."""
_OUTCOME: Final = frozenset({
    "exit_at", "exit_date", "exit_paise", "exit_reason", "exit_target", "targets_hit", "ambiguous_bar",
    "unsettled_at", "unsettled_date", "gross_pnl_paise", "slippage_paise", "charges_paise", "net_pnl_paise",
    "desk_net_pnl_paise", "r_multiple", "gross_r", "charges_r", "return_ratio", "holding_hours",
    "holding_days", "is_intraday", "is_winning_trade", "target_hit", "stoploss_hit",
})  # fmt: skip
"""Of a trade: known from its end on."""
_AT_MARKET: Final = EntryType.MARKET.value
_BY_TRADE: Final = frozenset({"research.excursions", "research.outcome_audit"})
_RECORDS: Final = ("signal_id", "trade_id", "followup_id", "record_id")


@dataclass(frozen=True, slots=True)
class Known:
    """What was known at the end of a day.

    Parameters
    ----------
    day : date
    end_at : str
        First moment after it, as JSON gives moments.
    open_trades : frozenset of str
        Ideas without an end by then.
    taken_later : frozenset of str
        Records that were taken back or restored later.
    """

    day: date
    end_at: str
    open_trades: frozenset[str]
    taken_later: frozenset[str]


def record_of(row: Row) -> str | None:
    """Name the record that a row of steps 2 to 7 is about; None for other rows."""
    return next((str(row[name]) for name in _RECORDS if row.get(name)), None)


def unexplained(table: str, then: Row | None, now: Row | None, known: Known) -> tuple[str, ...]:
    """Name the columns in which a row differs though the end of the day decides them.

    Parameters
    ----------
    table : str
        With its schema.
    then : mapping or None
        The row as worked out from what was known; None if there was none.
    now : mapping or None
        The row as the desk has it.
    known : Known

    Returns
    -------
    tuple of str
        Empty where time alone explains the difference: a trade ended, a call was taken back. `WHOLE_ROW`
        where a row appeared or went without such a reason.

    Notes
    -----
    A column that is not named here must be the same: a new one is judged strictly until somebody says why
    not.
    """
    if table == "research.trade_marks":
        row = then or now or {}
        return () if str(row["mark_date"]) > known.day.isoformat() else _columns(then, now)
    if table in _BY_TRADE and record_of(then or now or {}) in known.open_trades:
        return ()
    if table == "research.trade_legs" and record_of(then or now or {}) in known.open_trades:
        return _open_leg(then, now, known)
    if then is None or now is None:
        return _columns(then, now)
    if table == "research.trades" and then["exit_reason"] == "OPEN":
        return _open_trade(then, now, known)
    if table == "research.signal_flags" and then["signal_id"] in known.taken_later:
        return _taken_back(then, now)
    if table == "raw.quarantine":
        return _quarantined(then, now)
    return _columns(then, now)


def _columns(then: Row | None, now: Row | None, ignored: frozenset[str] = frozenset()) -> tuple[str, ...]:
    if then is None or now is None:
        return () if then == now else (WHOLE_ROW,)
    return tuple(name for name in then if name not in ignored and then[name] != now.get(name))


def _open_trade(then: Row, now: Row, known: Known) -> tuple[str, ...]:
    """Judge a trade that had no end: what was decided by then must be there, what was not must not."""
    waits = then["entry_at"] is None
    early = tuple(
        name
        for name in ("exit_date", "unsettled_date", *(("entry_date",) if waits else ()))
        if now[name] is not None and now[name] <= known.day.isoformat()
    )
    open_columns = _OUTCOME
    if waits:
        open_columns |= _ENTRY | _SIZE if then["entry_type"] == _AT_MARKET else _ENTRY
    return early + _columns(then, now, open_columns)


def _open_leg(then: Row | None, now: Row | None, known: Known) -> tuple[str, ...]:
    """Judge a part of a trade that goes on: what was sold by then stays sold."""
    was_sold = then is not None and then["exit_at"] is not None
    is_sold = now is not None and now["exit_at"] is not None and now["exit_at"] < known.end_at
    return _columns(then, now) if was_sold or is_sold else ()


def _taken_back(then: Row, now: Row) -> tuple[str, ...]:
    flags = [set(row["flags"]) - {"DELETED"} for row in (then, now)]
    return _columns(then, now, frozenset({"deleted_at", "flags"})) + (
        () if flags[0] == flags[1] else ("flags",)
    )


def _quarantined(then: Row, now: Row) -> tuple[str, ...]:
    """Judge a refused row. Only a later master can tell a contract to come from none; refused are both.

    Whether somebody has tried it again since is not the pipeline's word.
    """
    listed_later = (then["reason_codes"], now["reason_codes"]) == (["UNKNOWN_SYMBOL"], ["NOT_YET_LISTED"])
    words = frozenset({"reason_codes", "message"}) if listed_later else frozenset()
    return _columns(then, now, words | {"status"})
