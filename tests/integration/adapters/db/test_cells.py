"""The trades that pages draw beside a rule: the same window, scope and dimensions as it was judged by."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from adapters.db.engine import psycopg_dsn
from adapters.db.repos import cells
from adapters.db.repos.cells import read_cell_trades
from adapters.settings import Settings
from tests.support.marts import fill
from tests.support.rows import any_row, drop_checks

pytestmark = pytest.mark.integration

AS_OF = date(2025, 7, 9)
DAYS = 10
CELL = {
    "advisor_id": "A01",
    "category": "INDEX_OPT",
    "period": "INTRADAY",
    "weekday": "WED",
    "session": "MORNING",
}
LAST_DAY_OUT = AS_OF - timedelta(DAYS)
TRADES: dict[str, dict[str, object]] = {
    "newest": {"exit_date": AS_OF, "regime": "SIDEWAYS"},
    "oldest": {"entry_date": LAST_DAY_OUT + timedelta(1), "exit_at": datetime(2025, 7, 1, 5, tzinfo=UTC)},
    "too old": {"entry_date": LAST_DAY_OUT},
    "not closed yet": {"exit_date": AS_OF + timedelta(1)},
    "not counted": {"is_counted": False},
    "of another advisor": {"advisor_id": "A02"},
    "of another session": {"session": "MIDDAY"},
}


@pytest.fixture(scope="module")
def connection(pg_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(psycopg_dsn(pg_url)) as connection:
        drop_checks(connection)
        closed: dict[str, object] = {"entry_date": AS_OF, "exit_date": AS_OF, "is_counted": True}
        at = {"entry_at": datetime(2025, 7, 9, 4, tzinfo=UTC), "exit_at": datetime(2025, 7, 9, 5, tzinfo=UTC)}
        for number, (name, own) in enumerate(TRADES.items(), start=1):
            row = any_row(connection, "research.trades", number)
            known = {"trade_id": name, "underlying": "NIFTY", "net_pnl_paise": number, **own}
            known.pop("regime", None)
            row.update({**CELL, **closed, **at, **known})
            fill(connection, "research.trades", [row])
            label = {"trade_date": row["trade_date"], "realised_label": None, "reason": None}
            market = {**label, "scope": "MARKET", "label": own.get("regime", "TRENDING_BULLISH")}
            fill(
                connection, "ref.regimes", [market, {**label, "scope": "NIFTY", "label": "TRENDING_BEARISH"}]
            )
        claim = {"trade_date": any_row(connection, "research.trades", 1)["trade_date"], "trade_id": "newest"}
        told = {"reported_status": "TARGET", "verified_reason": "STOPLOSS", "agrees": False}
        fill(connection, "research.outcome_audit", [{**claim, **told}])
        yield connection


def read(connection: psycopg.Connection[Any], scope: str = "market", **cell: str | None) -> list[str]:
    settings = Settings(_env_file=None, window_days=DAYS, regime_scope=scope)
    return [t.trade_id for t in read_cell_trades(connection, {**CELL, **cell}, AS_OF, settings)]


def test_a_cell_has_the_closed_trades_of_its_window_in_the_order_of_exits(
    connection: psycopg.Connection[Any],
) -> None:
    assert read(connection) == ["oldest", "newest"]


def test_a_dimension_that_is_not_asked_for_is_any(connection: psycopg.Connection[Any]) -> None:
    assert sorted(read(connection, session=None)) == ["newest", "of another session", "oldest"]


def test_a_regime_is_that_of_the_market_or_of_the_underlying(connection: psycopg.Connection[Any]) -> None:
    assert read(connection, regime="SIDEWAYS") == ["newest"]
    assert read(connection, "underlying", regime="SIDEWAYS") == []
    assert read(connection, "underlying", regime="TRENDING_BEARISH") == ["oldest", "newest"]


def test_a_trade_carries_what_was_claimed_of_it(connection: psycopg.Connection[Any]) -> None:
    settings = Settings(_env_file=None, window_days=DAYS)
    oldest, newest = read_cell_trades(connection, CELL, AS_OF, settings)
    assert (newest.agrees, newest.net_pnl_paise, oldest.agrees) == (False, 1, None)


def test_of_too_many_the_newest_are_read(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "TRADES_MAX", 1)
    assert read(connection) == ["newest"]
