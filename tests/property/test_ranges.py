"""Steps 5 and 7 over a range, day by day and with the future deleted: one answer (§2).

The market is made of what real stores hold: dense minutes, days that have a daily bar only, instruments that
trade on few days, an index with gaps, silences of the feed, ideas of several legs days apart.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapters.config_files import load_charges, load_margins, load_slippage
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.intake import IdeaBook, IdeaKey
from propdesk.pipeline import trades as trades_module
from propdesk.pipeline.excursions import compute_excursions
from propdesk.pipeline.trades import TradeConfig, build_trades
from tests.support.market import (
    FIRST,
    MemoryPrices,
    at,
    followup_frame,
    signal_frame,
    signal_row,
    small_calendar,
)

CALENDAR = small_calendar()
DAYS = CALENDAR.market_days(FIRST, date(2025, 4, 30))[:45]
IDEA_DAYS = DAYS[2:27]
SILENT = (DAYS[9], DAYS[14], DAYS[20])
CONFIG = TradeConfig(load_charges(), load_margins(), load_slippage())
STRIKE = 10_000
KEYS = {  # share of the days with minutes, share with a daily bar
    "NSE_EQ:DENSE": (1.0, 0.3),
    "NSE_EQ:MIXED": (0.5, 0.7),
    "NSE_EQ:DAILY": (0.0, 1.0),
    "NSE_EQ:THIN": (0.15, 0.0),
    "STOCK_OPT:THIN:2025-03-27:10000:PE": (0.4, 0.2),
    "INDEX:NIFTY": (0.3, 0.2),
}
SIZES = ["lots", "quantity", "margin_paise", "desk_lots", "desk_quantity", "desk_margin_paise"]
TABLES = ("trades", "legs", "marks", "audit", "excursions")

Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Market:
    """What a store and a desk hold of the whole time."""

    minutes: dict[str, list[tuple[int, ...]]]
    daily: dict[str, list[tuple[int, ...]]]
    spans: dict[date, list[tuple[int, int]]]
    rows: list[dict[str, Any]]
    followups: list[dict[str, Any]]

    def until(self, last: date) -> "Market":
        """Delete everything after a day."""
        end = at(last, "23:59")
        kept = {name: {k: [b for b in v if b[0] <= end] for k, v in side.items()}
                for name, side in (("minutes", self.minutes), ("daily", self.daily))}  # fmt: skip
        return Market(
            **kept,
            spans={day: spans for day, spans in self.spans.items() if day <= last},
            rows=[row for row in self.rows if row["trade_date"] <= last],
            followups=[one for one in self.followups if one["received_at"].value <= end],
        )

    def tables(self, days: list[date], known_until: date) -> Tables:
        """Compute steps 5 and 7 for the ideas of some days."""
        wanted = set(days)
        rows = [row for row in self.rows if row["trade_date"] in wanted]
        prices = MemoryPrices(self.minutes, self.daily, self.spans)
        known = at(known_until, "16:00")
        frame = signal_frame(rows)
        made = build_trades(frame, followup_frame(self.followups), prices, CALENDAR, CONFIG, known)
        excursions = compute_excursions(made.trades, prices, CALENDAR, known)
        return {name: getattr(made, name) for name in TABLES[:-1]} | {"excursions": excursions}


def generated(seed: int) -> Market:
    rng = np.random.default_rng(seed)
    minutes: dict[str, list[tuple[int, ...]]] = {}
    daily: dict[str, list[tuple[int, ...]]] = {}
    for key, (with_minutes, with_daily) in KEYS.items():
        price = STRIKE
        minutes[key], daily[key] = [], []
        for day in DAYS:
            has_minutes, has_daily = rng.random() < with_minutes, rng.random() < with_daily
            levels = [price]
            for minute in sorted(rng.choice(375, int(rng.integers(2, 12)), replace=False).tolist()):
                start, bar = at(day, "09:15") + minute * NS_PER_MINUTE, _bar(rng, price)
                price = bar[3]
                levels += bar
                is_silent = any(a <= start < b for a, b in _silences().get(day, []))
                if has_minutes and not is_silent:
                    minutes[key].append((start, *bar, int(rng.integers(-1, 50) * 10**7)))
            if has_daily:
                own = (levels[0], max(levels), min(levels), levels[-1])
                daily[key].append((at(day, "00:00"), *own, int(rng.integers(1, 10**6))))
        minutes[key] = [bar if bar[-1] >= 0 else (*bar[:-1], -1) for bar in minutes[key]]
    rows = [_idea(rng, day, number) for day in IDEA_DAYS for number in range(10)]
    return Market(minutes, daily, _silences(), rows, [_followup(rng, row) for row in rows[::3]])


def _silences() -> dict[date, list[tuple[int, int]]]:
    return {day: [(at(day, "10:00"), at(day, "13:00"))] for day in SILENT}


def _bar(rng: np.random.Generator, price: int) -> tuple[int, int, int, int]:
    moves = [price, *(max(7_000, price + int(move)) for move in rng.integers(-250, 251, 3))]
    return moves[0], max(moves), min(moves), moves[-1]


def _idea(rng: np.random.Generator, day: date, number: int) -> dict[str, Any]:
    key = str(rng.choice([key for key in KEYS if not key.startswith("INDEX")]))
    side = 1 if rng.random() < 0.5 else -1
    entry = STRIKE + int(rng.integers(-600, 601))
    is_option = key.startswith("STOCK_OPT")
    return signal_row(
        f"{day}-{number}",
        day,
        f"{rng.integers(8, 15):02d}:{rng.integers(0, 60):02d}",
        price_key=key,
        instrument_key=key,
        category="STOCK_OPT" if is_option else "NSE_EQ",
        expiry=date(2025, 3, 27) if is_option else None,
        strike_paise=STRIKE if is_option else None,
        option_type="PE" if is_option else None,
        underlying_key="INDEX:NIFTY" if is_option else key,
        lot_size=50 if is_option else 1,
        side="BUY" if side > 0 else "SELL",
        period=("INTRADAY", "SWING", "SWING", "POSITIONAL")[rng.integers(4)],
        entry_type=("LIMIT", "STOP", "MARKET", "RANGE")[rng.integers(4)],
        entry_low_paise=entry,
        entry_high_paise=entry + 5,
        stoploss_paise=entry - side * int(rng.integers(100, 900)),
        targets_paise=[entry + side * (100 + d) for d in (100, 400, 900)[: rng.integers(0, 4)]],
        group_key=f"group-{rng.integers(20)}" if rng.random() < 0.2 else None,
        reported_status="TARGET" if rng.random() < 0.3 else None,
    )


def _followup(rng: np.random.Generator, row: dict[str, Any]) -> dict[str, Any]:
    day = CALENDAR.shift(row["trade_date"], int(rng.integers(0, 6)))
    return {
        "followup_id": f"f-{row['signal_id']}",
        "signal_id": row["signal_id"],
        "kind": ("EXIT", "PARTIAL_EXIT", "CANCEL", "MOVE_TO_COST")[rng.integers(4)],
        "fraction": 0.5,
        "received_at": pd.Timestamp(at(day, f"{rng.integers(15, 17)}:00"), unit="ns", tz="UTC"),
    }


def assert_same(found: Tables, expected: Tables) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(
            found[name].reset_index(drop=True), expected[name].reset_index(drop=True),
            check_dtype=False, check_exact=True, obj=name,
        )  # fmt: skip


def joined(parts: list[Tables]) -> Tables:
    return {name: pd.concat([part[name] for part in parts if len(part[name])]) for name in TABLES}


@pytest.mark.parametrize("seed", range(2))
def test_a_range_equals_its_days_to_the_bit(seed: int) -> None:
    market = generated(seed)
    whole = market.tables(IDEA_DAYS, DAYS[-1])
    assert_same(joined([market.tables([day], DAYS[-1]) for day in IDEA_DAYS]), whole)
    reasons = set(whole["trades"]["exit_reason"].dropna())
    assert reasons > {"NO_PRICE_DATA", "NOT_TRIGGERED", "UNDETERMINED", "INCOMPLETE", "TARGET", "STOPLOSS"}
    assert (whole["trades"]["product_reason"] == "MULTI_LEG").any()


def test_blocks_of_days_give_the_same_and_are_handed_on_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    market = generated(8)
    whole, ideas = market.tables(IDEA_DAYS, DAYS[-1]), signal_frame(market.rows)
    handed: list[pd.DataFrame] = []
    prices = MemoryPrices(market.minutes, market.daily, market.spans)
    monkeypatch.setattr(trades_module, "_BLOCK_DAYS", 4)
    made = build_trades(
        ideas, followup_frame(market.followups), prices, CALENDAR, CONFIG, at(DAYS[-1], "16:00"),
        on_block=handed.append,
    )  # fmt: skip
    for name in TABLES[:-1]:
        frame = getattr(made, name)
        pd.testing.assert_frame_equal(frame, whole[name], check_dtype=False)
    assert [part["trade_date"].nunique() for part in handed] == [4, 4, 4, 4, 4, 4, 1]
    assert pd.concat(handed)["signal_id"].tolist() == ideas["signal_id"].tolist()


@pytest.mark.parametrize(("seed", "cut"), [(2, 9), (3, 15), (4, 20), (5, 22)])
def test_deleting_the_future_changes_nothing_that_was_known(seed: int, cut: int) -> None:
    market, last = generated(seed), DAYS[cut]
    days = [day for day in IDEA_DAYS if day <= last]
    then, now = market.until(last).tables(days, last), market.tables(days, DAYS[-1])
    was, became = (side["trades"].set_index("trade_id") for side in (then, now))
    is_open = (was["exit_reason"] == "OPEN").to_numpy()
    assert is_open.any()
    assert (~is_open).any()
    # what an idea at market that is no trade would have been sized by may be a first bar still to come
    unsized = was["entry_at"].isna() & (was["entry_type"] == "MARKET")
    for side in (was, became):
        side.loc[unsized, SIZES] = 0
    pd.testing.assert_frame_equal(was[~is_open], became[~is_open], check_dtype=False)
    ended = became.loc[is_open, ["exit_date", "unsettled_date"]].bfill(axis=1)["exit_date"].dropna()
    assert (ended > last).all()
    entered = is_open & was["entry_at"].notna().to_numpy()
    columns = ["entry_at", "entry_paise", "quantity", "margin_paise", "traded_value_share", "moneyness"]
    pd.testing.assert_frame_equal(was.loc[entered, columns], became.loc[entered, columns], check_dtype=False)
    marks = now["marks"][now["marks"]["mark_date"] <= last]
    pd.testing.assert_frame_equal(then["marks"], marks.reset_index(drop=True), check_dtype=False)
    settled = set(was.index[~is_open])
    for name in ("legs", "audit", "excursions"):
        before, after = (side[name][side[name]["trade_id"].isin(settled)] for side in (then, now))
        pd.testing.assert_frame_equal(
            before.reset_index(drop=True), after.reset_index(drop=True), check_dtype=False, obj=name
        )


@pytest.mark.parametrize("seed", range(20))
def test_reposts_and_copies_are_linked_in_parts_as_in_one_go(seed: int) -> None:
    """A part recalls what was received within the longest window before its first idea, with its links."""
    rng = np.random.default_rng(seed)
    moments = np.sort(rng.integers(0, 600, 120)).tolist()
    ideas = []
    for number, minute in enumerate(moments):
        entry, advisor = 10_000 + int(rng.integers(0, 3)) * 30, f"A{rng.integers(3)}"
        ideas.append(
            IdeaKey(
                f"{number:03d}",
                advisor,
                "NSE_EQ:X",
                "BUY",
                minute * NS_PER_MINUTE,
                entry,
                entry,
                (entry, entry, 9_000),
            )
        )
    book = IdeaBook()
    whole = [book.link(idea) for idea in ideas]
    for begin in range(1, len(ideas)):
        part = IdeaBook()
        for idea, links in zip(ideas[:begin], whole[:begin], strict=True):
            if idea.received_ns >= ideas[begin].received_ns - 30 * NS_PER_MINUTE:
                part.recall(idea, is_repost=links.duplicate_of is not None)
        assert [part.link(idea) for idea in ideas[begin:]] == whole[begin:]
