"""The brief before a day and the close after it, against a really traded day."""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from adapters.db.engine import psycopg_dsn
from adapters.db.repos.day_sheets import Brief, read_brief, read_close
from adapters.db.repos.report import DayReport
from adapters.settings import Settings
from propdesk.model.enums import GateProfile
from tests.integration.daemon.conftest import Documents
from tests.support.daemon_day import DAY
from trading_daemon.main import RunResult

pytestmark = [pytest.mark.integration, pytest.mark.slow]

NEXT = date(2025, 7, 2)


@pytest.fixture
def reader(settings: Settings) -> Iterator["psycopg.Connection[Any]"]:
    """As the commands read."""
    with psycopg.connect(psycopg_dsn(settings.database_url("reader")), autocommit=True) as connection:
        yield connection


@pytest.fixture
def brief(reader: "psycopg.Connection[Any]", settings: Settings) -> Callable[[date], Brief]:
    """Read the brief of a day."""
    return lambda day: read_brief(reader, settings.account_id, day, GateProfile.DESK)


def swing(documents: Documents) -> Documents:
    """One idea that is held overnight: its levels are never reached on the day."""
    own = dict(next(one for one in documents if one.get("side") == "BUY" and one["entry_type"] == "MARKET"))
    price = float(str(own["stoploss"]))
    return [
        {
            **own,
            "source_message_id": "swing",
            "period": "SWING",
            "stoploss": f"{round(price * 0.9)}.00",
            "targets": f"{round(price * 1.2)}.00",
        }
    ]


def test_the_sheets_of_a_traded_day_agree_with_its_books(
    replay: Callable[..., RunResult],
    report: Callable[[], DayReport],
    documents: Documents,
    connection: "psycopg.Connection[Any]",
    reader: "psycopg.Connection[Any]",
    settings: Settings,
    brief: Callable[[date], Brief],
) -> None:
    before = brief(DAY)
    assert (before.is_ready, before.steps, before.held, before.switched) == (False, {}, [], [])
    nameless = {**documents[3], "source_message_id": "nameless", "symbol": "NOSUCHNAME"}
    replay(fresh=True, signals=[*documents, nameless])
    day = report()
    found = read_close(reader, settings.account_id, DAY)
    # every idea that was not traded stands under its gate, and none twice
    not_traded = {code: n for code, n in day.decisions if code not in ("TRADED", "TRADED_REVERSE")}
    assert {one["code"]: one["ideas"] for one in found.rejected} == not_traded
    assert {one["verified"] for one in found.rejected} == {0}
    assert not found.is_final
    (name,) = found.unresolved
    assert (name["code"], name["document"]["symbol"]) == ("UNKNOWN_SYMBOL", "NOSUCHNAME")
    assert found.ledger_paise == found.trades_paise == day.net_pnl_paise
    assert (found.unanswered, found.carried) == (0, 0)
    with connection.cursor(row_factory=dict_row) as cursor:
        fills = cursor.execute(
            "SELECT t.side, t.quantity, t.entry_paise, g.entry_low_paise, g.entry_high_paise "
            "FROM trading.executed_trades AS t JOIN trading.trade_groups AS g USING (account_id, group_id) "
            "WHERE t.quantity > 0"
        ).fetchall()
    priced = [one for one in fills if one["entry_low_paise"] is not None]
    paid = sum(
        (1 if one["side"] == "BUY" else -1)
        * (one["entry_paise"] - (one["entry_low_paise"] + one["entry_high_paise"]) / 2)
        * one["quantity"]
        for one in priced
    )
    (shares,) = found.slippage
    assert (shares["category"], shares["legs"], shares["legs_with_price"]) == (
        "NSE_EQ",
        len(fills),
        len(priced),
    )
    assert shares["slippage_paise"] == round(paid)
    after = brief(DAY)
    assert after.is_ready
    assert after.regime == "SIDEWAYS"
    assert set(after.steps) == {"token", "scrip", "symbols", "regime", "corpus"}
    assert sum(pool["total_paise"] for pool in after.pools) == day.corpus_paise


def test_what_is_carried_is_told_with_its_stop_and_what_has_none_is_named(
    replay: Callable[..., RunResult],
    documents: Documents,
    connection: "psycopg.Connection[Any]",
    settings: Settings,
    brief: Callable[[date], Brief],
) -> None:
    connection.execute(
        "UPDATE marts.mini_rules SET period = 'SWING', rule_text = replace(rule_text, 'INTRADAY', 'SWING')"
    )
    replay(fresh=True, signals=swing(documents))
    (held,) = brief(NEXT).held
    assert held["is_carried"]
    assert held["held_quantity"] > 0
    assert held["lowest_stop_paise"] is not None
    assert brief(NEXT).unprotected == []
    assert not brief(DAY).held[0]["is_carried"]
    connection.execute("UPDATE trading.broker_orders SET last_kind = 'NAKED'")
    (naked,) = brief(NEXT).unprotected
    assert naked["group_id"] == held["group_id"]
