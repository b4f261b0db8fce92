"""Steps 5 to 7 to real tables and back."""

from datetime import date, timedelta

import pandas as pd
import psycopg
import pytest

from adapters.config_files import load_charges, load_margins, load_slippage
from adapters.db.frames import trades as frames
from adapters.db.repos.pipeline import oldest_open_day
from propdesk.pipeline.excursions import compute_excursions
from propdesk.pipeline.regime import compute_regimes
from propdesk.pipeline.trades import TradeConfig, TradeTables, build_trades
from tests.support.market import (
    MemoryPrices,
    at,
    bars,
    followup_frame,
    signal_frame,
    signal_row,
    small_calendar,
)

pytestmark = pytest.mark.integration

DAY = date(2025, 1, 8)
NEXT = DAY + timedelta(days=1)
KEY = "NSE_EQ:ACME"
MINUTES = [
    ("09:15", 10_100, 10_110, 10_090, 10_100),
    ("09:16", 10_100, 10_100, 9_990, 10_020),
    ("09:17", 10_020, 10_250, 10_010, 10_240),
]
PRICES = MemoryPrices({KEY: bars(DAY, MINUTES) + bars(NEXT, MINUTES)})


def built(rows: list[dict[str, object]]) -> TradeTables:
    config = TradeConfig(load_charges(), load_margins(), load_slippage())
    return build_trades(
        signal_frame(rows), followup_frame([]), PRICES, small_calendar(), config, at(NEXT, "16:00")
    )


def rows() -> list[dict[str, object]]:
    return [
        signal_row("a", DAY, "09:10", targets_paise=[10_200, 10_240]),
        signal_row("b", DAY, "09:10", period="SWING", stoploss_paise=None, targets_paise=[]),
        signal_row("c", NEXT, "09:10", side="SELL", period="SWING", stoploss_paise=10_200, targets_paise=[]),
        signal_row("d", NEXT, "09:10", reported_status="TARGET", reported_exit_paise=10_400),
        signal_row("e", NEXT, "15:29"),
    ]


def text_of(connection: psycopg.Connection, table: str) -> bytes:
    with connection.cursor().copy(f"COPY (SELECT * FROM {table} ORDER BY 1, 2) TO STDOUT") as copy:
        return b"".join(bytes(part) for part in copy)


@pytest.fixture
def connection(pg_url: str) -> psycopg.Connection:
    with psycopg.connect(pg_url.replace("postgresql+psycopg://", "postgresql://")) as opened:
        yield opened
        opened.rollback()


def test_tables_come_back_as_they_were_written(connection: psycopg.Connection) -> None:
    tables = built(rows())
    assert frames.write_trade_tables(connection, tables, DAY, NEXT) == 5
    back = frames.read_trades(connection, DAY, NEXT)
    assert back["trade_id"].tolist() == ["a", "b", "c", "d", "e"]
    for name in (
        "net_pnl_paise",
        "exit_paise",
        "lots",
        "margin_paise",
        "is_counted",
        "entry_at",
        "exit_reason",
    ):
        wanted, found = tables.trades[name], back[name]
        assert [None if pd.isna(v) else v for v in found] == [None if pd.isna(v) else v for v in wanted], name
    assert back["targets_paise"].iloc[0] == [10_200, 10_240]
    counted = connection.execute("SELECT count(*) FROM research.trade_legs").fetchone()
    assert counted == (len(tables.legs),) == (4,)
    marked = connection.execute("SELECT mark_date FROM research.trade_marks ORDER BY 1").fetchall()
    assert marked == [(DAY,), (NEXT,)]
    assert oldest_open_day(connection, DAY) == DAY
    assert oldest_open_day(connection, NEXT) is None


def test_a_second_run_gives_the_same_bytes_and_a_lost_row_is_lost(connection: psycopg.Connection) -> None:
    def run(given: list[dict[str, object]]) -> list[bytes]:
        frames.write_trade_tables(connection, built(given), DAY, NEXT)
        known = at(NEXT, "16:00")
        found = compute_excursions(frames.read_trades(connection, DAY, NEXT), PRICES, small_calendar(), known)
        frames.write_excursions(connection, found, DAY, NEXT)
        frames.write_regimes(connection, compute_regimes({}, [DAY, NEXT], small_calendar()), DAY, NEXT)
        tables = ("research.trades", "research.trade_legs", "research.trade_marks", "research.outcome_audit")
        return [text_of(connection, table) for table in (*tables, "research.excursions", "ref.regimes")]

    first = run(rows())
    assert all(first)
    assert run(rows()[::-1]) == first
    run(rows()[1:])
    assert frames.read_trades(connection, DAY, DAY)["trade_id"].tolist() == ["b"]
    assert connection.execute("SELECT count(*) FROM research.excursions").fetchone() == (1,)
