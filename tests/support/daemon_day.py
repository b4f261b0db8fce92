"""A small invented day on real servers: prices, instruments, rules, regimes, signal documents."""

import json
from collections.abc import Collection
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import psycopg

from adapters.calendar import load_calendar
from adapters.config_gates import load_gates
from adapters.db.engine import create_engine, psycopg_dsn
from adapters.db.repos.instruments import load_instruments
from adapters.settings import Settings
from adapters.ticks.store import ParquetPriceStore, bars_table
from propdesk.core.calendar import Segment, ist_date
from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND, from_ns
from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument
from propdesk.ports import BarArrays

DAY = date(2025, 7, 1)
STOCKS = tuple(f"TST{letter}" for letter in "ABCDEF")
ADVISORS = ("A01", "A02", "A03", "A04")
SIGNALS = 40

_RULE_COLUMNS = (
    "as_of_date date, level text, advisor_id text, category text, period text, regime text, weekday text, "
    "session text, rule_text text, n bigint, n_days bigint, post_mean_r double precision, "
    "prob_edge double precision, trust_flag text, trust_is_noise boolean, wse_p90 double precision, "
    "mean_post_sl_extension double precision, stopped_trades bigint, desk_passes boolean, "
    "original_passes boolean, desk_failed_gates text[], original_failed_gates text[], gates_version text"
)


def make_bars(seed: int = 7, day: date = DAY) -> dict[str, BarArrays]:
    """Minute bars of every stock on a day: a random walk on the five-paise grid."""
    rng = np.random.default_rng(seed)
    hours = load_calendar().hours(day, Segment.CASH)
    start = np.arange(hours.open_ns, hours.close_ns, NS_PER_MINUTE, dtype=np.int64)
    found = {}
    for index, stock in enumerate(STOCKS):
        price = 50_000 + 20_000 * index
        steps = rng.normal(0, price * 0.0008, len(start) + 1)
        close = np.round((price + np.cumsum(steps)) / 5).astype(np.int64) * 5
        opened = close[:-1]
        closed = close[1:]
        spread = np.round(np.abs(rng.normal(0, price * 0.0005, len(start))) / 5).astype(np.int64) * 5
        high = np.maximum(opened, closed) + spread
        low = np.minimum(opened, closed) - spread
        volume = rng.integers(20_000, 80_000, len(start))
        found[f"NSE_EQ:{stock}"] = BarArrays(start, opened, high, low, closed, volume, NS_PER_MINUTE)
    return found


def make_documents(
    bars: dict[str, BarArrays],
    seed: int = 7,
    signals: int = SIGNALS,
    *,
    name: str = "m",
    period: str = "INTRADAY",
) -> list[dict[str, object]]:
    """Signals and follow-ups of the bars' day as live documents, with a repeat and an unreadable one.

    Messages are called by ``name`` and their number; every other signal is of ``period``, with levels
    ten times as far away where that is not INTRADAY.
    """
    rng = np.random.default_rng(seed)
    documents: list[dict[str, object]] = []
    for number in range(signals):
        stock = STOCKS[int(rng.integers(len(STOCKS)))]
        series = bars[f"NSE_EQ:{stock}"]
        at = int(rng.integers(4, 300))
        posted_ns = int(series.start_ns[at]) + int(rng.integers(0, 50)) * NS_PER_SECOND
        price = int(series.close_paise[at - 1])
        buy = bool(rng.integers(2))
        sign = 1 if buy else -1
        own_period = period if number % 2 else "INTRADAY"
        reach = 0.004 if own_period == "INTRADAY" else 0.04
        stop = round((price - sign * price * reach) / 5) * 5
        targets = [round((price + sign * price * reach * part) / 5) * 5 for part in (1, 2)]
        received_ns = posted_ns + 3 * NS_PER_SECOND
        documents.append(
            {
                "kind": "SIGNAL",
                "source": "test",
                "source_message_id": f"{name}{number}",
                "advisor_id": ADVISORS[number % len(ADVISORS)],
                "advisor_name": "Test Advisor",
                "posted_at": _ist(posted_ns),
                "received_at": _ist(received_ns),
                "category": "NSE_EQ",
                "symbol": stock,
                "side": "BUY" if buy else "SELL",
                "entry_type": "MARKET" if number % 3 == 0 else "LIMIT",
                "entry_low": None if number % 3 == 0 else f"{price / 100:.2f}",
                "stoploss": f"{stop / 100:.2f}",
                "targets": "/".join(f"{t / 100:.2f}" for t in targets),
                "period": own_period,
            }
        )
        if number % 10 == 4:
            documents.append(
                {
                    "kind": "FOLLOWUP",
                    "source": "test",
                    "source_message_id": f"follow-{name}{number}",
                    "advisor_id": ADVISORS[number % len(ADVISORS)],
                    "posted_at": _ist(posted_ns + 20 * NS_PER_MINUTE),
                    "received_at": _ist(received_ns + 20 * NS_PER_MINUTE),
                    "refers_to": f"{name}{number}",
                    "followup_kind": "EXIT" if number % 20 == 4 else "MOVE_TO_COST",
                }
            )
    documents.append(dict(documents[0]))
    unreadable = dict(documents[1], source_message_id=f"{name}-bad", side="SIDEWAYS")
    documents.append(unreadable)
    return documents


def write_documents(path: Path, documents: list[dict[str, object]]) -> Path:
    """Write documents as JSON lines."""
    path.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    return path


def prepare_day(settings: Settings, *, passing: bool = True) -> dict[str, BarArrays]:
    """Put prices, instruments, regimes and rules of the day before into the stores; gives the bars."""
    bars = make_bars()
    add_bars(settings, DAY, bars)
    engine = create_engine(settings.database_url(), "tests")
    load_instruments(engine, [make_instrument(stock) for stock in STOCKS], "test")
    engine.dispose()
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        for table in ("rules_6d", "mini_rules", "adverse_rules"):
            connection.execute(f"CREATE TABLE IF NOT EXISTS marts.{table} ({_RULE_COLUMNS})")
            connection.execute(f"DELETE FROM marts.{table}")
        connection.execute("DELETE FROM ref.gate_thresholds")
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO ref.gate_thresholds VALUES (%(profile)s, %(rule_level)s, %(category)s, "
                "%(gate)s, %(comparison)s, %(threshold)s, %(gates_version)s)",
                load_gates().rows(),
            )
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA marts TO propdesk_daemon, propdesk_reader")
    add_rules(settings, DAY - timedelta(days=1), ADVISORS if passing else ())
    return bars


def add_bars(settings: Settings, day: date, bars: dict[str, BarArrays]) -> None:
    """Put a day's bars into the price store."""
    ParquetPriceStore(settings.price_store_url, load_calendar()).write_minutes(day, bars_table(bars.items()))


def add_rules(settings: Settings, as_of: date, passing: Collection[str], period: str = "INTRADAY") -> None:
    """Put one rule per advisor, of one period, at the end of a day, and the regime of the day after."""
    gates = load_gates()
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        connection.execute(
            "INSERT INTO ref.regimes (trade_date, scope, label) VALUES (%s, 'MARKET', 'SIDEWAYS') "
            "ON CONFLICT DO NOTHING",
            (load_calendar().next_day(as_of),),
        )
        for advisor in ADVISORS:
            passes = advisor in passing
            failed = [] if passes else ["profit_factor"]
            connection.execute(
                "INSERT INTO marts.mini_rules VALUES (%s, 'MINI', %s, 'NSE_EQ', %s, NULL, NULL, "
                "NULL, %s, "
                "60, 20, 0.3, 0.97, 'TRUSTED', false, 0.01, 0.001, 20, %s, %s, %s, %s, %s)",
                (
                    as_of,
                    advisor,
                    period,
                    f"MINI|{advisor}|NSE_EQ|{period}",
                    passes,
                    passes,
                    failed,
                    failed,
                    gates.version,
                ),
            )


def make_instrument(stock: str) -> Instrument:
    """A share of the invented day."""
    return Instrument(
        instrument_key=f"NSE_EQ:{stock}",
        category=Category.NSE_EQ,
        underlying=stock,
        expiry=None,
        strike_paise=None,
        option_type=None,
        exchange_segment="NSE_EQ",
        security_id=str(1000 + STOCKS.index(stock)),
        lot_size=1,
        tick_paise=5,
        freeze_quantity=0,
        series="EQ",
        has_derivatives=False,
        valid_from=date(2025, 1, 1),
        valid_to=date(2025, 12, 31),
    )


def _ist(ns: int) -> str:
    moment = from_ns(ns) + timedelta(hours=5, minutes=30)
    assert ist_date(ns) == moment.date()
    return moment.replace(tzinfo=None).isoformat() + "+05:30"
