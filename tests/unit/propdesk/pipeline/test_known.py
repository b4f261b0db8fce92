"""What time alone explains of a difference, and what it does not."""

from datetime import date
from typing import Any

import pytest

from adapters.db.describe import describe_table
from propdesk.pipeline import known as module
from propdesk.pipeline.known import WHOLE_ROW, Known, record_of, unexplained

DAY = date(2025, 6, 4)
KNOWN = Known(DAY, "2025-06-04T18:30:00+00:00", frozenset({"open"}), frozenset({"taken"}))
BEFORE, AFTER = "2025-06-04T09:00:00+00:00", "2025-06-05T09:00:00+00:00"


def trade(name: str = "open", **values: Any) -> dict[str, Any]:
    row = dict.fromkeys((column.name for column in describe_table("research.trades")), None)
    return {**row, "trade_id": name, "exit_reason": "OPEN", "entry_at": BEFORE, "lots": 1, **values}


def waiting(entry_type: str, **values: Any) -> dict[str, Any]:
    return trade(**{"entry_at": None, "entry_type": entry_type, **values})


@pytest.mark.parametrize(
    ("then", "now", "columns"),
    [
        (trade(), trade(exit_reason="TARGET", exit_date="2025-06-05", net_pnl_paise=5, holding_days=1), ()),
        (trade(), trade(exit_reason="TARGET", exit_date="2025-06-04"), ("exit_date",)),
        (trade(), trade(exit_reason="INCOMPLETE", unsettled_date="2025-06-04"), ("unsettled_date",)),
        (trade(), trade(lots=2), ("lots",)),
        (trade(), trade(traded_value_share=0.5), ("traded_value_share",)),
        (waiting("MARKET", lots=0), waiting("MARKET", entry_at=AFTER, entry_date="2025-06-05", lots=2), ()),
        (
            waiting("LIMIT", lots=1),
            waiting("LIMIT", entry_at=AFTER, entry_date="2025-06-05", moneyness=0.1),
            (),
        ),
        (waiting("LIMIT", lots=1), waiting("LIMIT", entry_at=AFTER, lots=2), ("lots",)),
        (trade(entry_at=None), trade(entry_date="2025-06-04"), ("entry_date",)),
        (trade(entry_at=None), trade(entry_at=None, exit_reason="NOT_TRIGGERED"), ()),
        (trade(entry_at=None), trade(entry_at=None, stoploss_paise=9), ("stoploss_paise",)),
        (trade(exit_reason="TARGET"), trade(exit_reason="STOPLOSS"), ("exit_reason",)),
        (trade(), None, (WHOLE_ROW,)),
        (None, trade(), (WHOLE_ROW,)),
    ],
)
def test_an_open_trade_may_end_later_and_nothing_else(
    then: dict[str, Any] | None, now: dict[str, Any] | None, columns: tuple[str, ...]
) -> None:
    found = unexplained("research.trades", then, now, KNOWN)
    assert found == columns


def leg(name: str, exit_at: str | None) -> dict[str, Any]:
    return {"trade_id": name, "leg_number": 1, "exit_at": exit_at}


@pytest.mark.parametrize(
    ("then", "now", "columns"),
    [
        (leg("open", None), leg("open", AFTER), ()),
        (leg("open", None), leg("open", BEFORE), ("exit_at",)),
        (leg("open", BEFORE), leg("open", AFTER), ("exit_at",)),
        (None, leg("open", AFTER), ()),
        (None, leg("open", BEFORE), (WHOLE_ROW,)),
        (leg("ended", None), leg("ended", AFTER), ("exit_at",)),
        (None, leg("ended", AFTER), (WHOLE_ROW,)),
    ],
)
def test_a_part_sold_by_then_stays_sold(
    then: dict[str, Any] | None, now: dict[str, Any] | None, columns: tuple[str, ...]
) -> None:
    assert unexplained("research.trade_legs", then, now, KNOWN) == columns


def test_measures_and_verdicts_of_an_open_trade_come_with_its_end() -> None:
    for table in ("research.excursions", "research.outcome_audit"):
        assert unexplained(table, None, {"trade_id": "open", "mae_r": 1.0}, KNOWN) == ()
        assert unexplained(table, None, {"trade_id": "ended", "mae_r": 1.0}, KNOWN) == (WHOLE_ROW,)


def test_a_mark_of_a_later_day_is_later_news() -> None:
    later, today = (
        {"trade_id": "x", "mark_date": day, "close_paise": 1} for day in ("2025-06-05", "2025-06-04")
    )
    assert unexplained("research.trade_marks", None, later, KNOWN) == ()
    assert unexplained("research.trade_marks", None, today, KNOWN) == (WHOLE_ROW,)
    assert unexplained("research.trade_marks", today, {**today, "close_paise": 2}, KNOWN) == ("close_paise",)


def test_a_call_taken_back_later_changes_its_flag_only() -> None:
    then = {"signal_id": "taken", "deleted_at": None, "flags": ["EDITED"], "claim_lag_s": 1.0}
    now = {**then, "deleted_at": AFTER, "flags": ["EDITED", "DELETED"]}
    assert unexplained("research.signal_flags", then, now, KNOWN) == ()
    assert unexplained("research.signal_flags", then, {**now, "flags": ["DELETED"]}, KNOWN) == ("flags",)
    assert unexplained("research.signal_flags", then, {**now, "claim_lag_s": 2.0}, KNOWN) == ("claim_lag_s",)
    other = {**then, "signal_id": "kept"}
    assert unexplained("research.signal_flags", other, {**now, "signal_id": "kept"}, KNOWN) == (
        "deleted_at", "flags",
    )  # fmt: skip


def test_only_a_later_master_knows_a_contract_to_come() -> None:
    then = {"reason_codes": ["UNKNOWN_SYMBOL"], "message": "none", "status": "OPEN", "content": "x"}
    now = {**then, "reason_codes": ["NOT_YET_LISTED"], "message": "later", "status": "RETRIED"}
    assert unexplained("raw.quarantine", then, now, KNOWN) == ()
    assert unexplained("raw.quarantine", now, then, KNOWN) == ("reason_codes", "message")
    assert unexplained("raw.quarantine", then, {**now, "content": "y"}, KNOWN) == ("content",)


def test_any_other_table_is_judged_by_every_column() -> None:
    assert unexplained("research.new_one", {"a": 1, "b": 2}, {"a": 1, "b": 3}, KNOWN) == ("b",)
    assert unexplained("research.new_one", {"a": 1}, {"a": 1}, KNOWN) == ()


def test_columns_that_are_excused_exist() -> None:
    named = {column.name for column in describe_table("research.trades")}
    assert named >= module._ENTRY | module._SIZE | module._OUTCOME


def test_a_row_names_its_record() -> None:
    assert record_of({"trade_id": "t"}) == "t"
    assert record_of({"followup_id": "f", "signal_id": None}) == "f"
    assert record_of({"as_of_date": "2025-06-04", "rule_text": "ADVISOR|A"}) is None
