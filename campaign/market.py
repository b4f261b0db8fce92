"""What a simulated day stands on: instruments, rules and prices that are the same in every schedule."""

from collections.abc import Callable, Sequence
from datetime import date
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from adapters.calendar import load_calendar
from adapters.config_files import load_charges, load_margins
from adapters.config_gates import load_gates
from adapters.config_risk import load_risk
from propdesk.core.calendar import Segment, ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from propdesk.engine.context import DRIFT_LIMITS, ENTRY_CUTOFF_NS, PRICE_WAIT_NS, DayContext
from propdesk.engine.snapshot import ContextSnapshot, StoredContext, read_snapshot, store_form
from propdesk.execution.lifetime import LifetimeRules
from propdesk.intake.aliases import Aliases
from propdesk.model.enums import (
    Category,
    GateProfile,
    Period,
    Regime,
    ReverseMode,
    RuleLevel,
    TradingMode,
    TrustFlag,
)
from propdesk.model.instrument import Instrument
from propdesk.model.messages import DayOpened
from propdesk.model.rule import Rule, RuleKey, RuleSet
from propdesk.ports import BarArrays
from propdesk.strategy.crowd import CrowdConfig
from propdesk.strategy.sizing import SizingConfig
from sandbox.catalogue import Catalogue, listing_of
from trading_daemon.day import Day
from trading_daemon.day_context import build_context, resolver_of

DAY: Final = date(2025, 7, 1)
ACCOUNT: Final = "campaign"
START_NS: Final = ist_midnight_ns(DAY) + (9 * 60 + 18) * NS_PER_MINUTE + 5 * NS_PER_SECOND
"""True time at which a schedule begins: in the session, between two minutes."""
LEAD_S: Final = 185
"""Seconds of prices before that, from a full minute on."""
CORPUS_PAISE: Final = 30_000_000
STOCKS: Final = ("ALPHA", "BRAVO", "DELTA")
PRICE_PAISE: Final = 100_000
ADVISORS: Final = ("A01", "A02")
ADVERSE: Final = "A09"
"""An advisor whose ideas are traded the other way."""


def instrument(stock: str) -> Instrument:
    """Give a share of the invented market; the second one's freeze quantity cuts legs into slices."""
    return Instrument(
        instrument_key=f"NSE_EQ:{stock}",
        category=Category.NSE_EQ,
        underlying=stock,
        expiry=None,
        strike_paise=None,
        option_type=None,
        exchange_segment="NSE_EQ",
        security_id=str(1_000 + STOCKS.index(stock)),
        lot_size=1,
        tick_paise=5,
        freeze_quantity=51 if stock == STOCKS[1] else 0,
        series="EQ",
        has_derivatives=False,
        valid_from=date(2025, 1, 1),
        valid_to=date(2025, 12, 31),
    )


def catalogue() -> Catalogue:
    """List the shares at the broker."""
    return Catalogue([listing_of(instrument(stock)) for stock in STOCKS])


def _rule(advisor: str, *, is_adverse: bool) -> Rule:
    return Rule(
        key=RuleKey(RuleLevel.MINI, advisor, category=Category.NSE_EQ, period=Period.INTRADAY),
        profile=GateProfile.DESK,
        passes=True,
        is_adverse=is_adverse,
        n=60,
        n_days=40,
        post_mean_r=0.3,
        prob_edge=0.97,
        trust_flag=TrustFlag.TRUSTED,
        trust_is_noise=False,
        wse_p90=0.01,
        mean_post_sl_extension=0.001,
        stopped_trades=20,
    )


@cache
def context() -> tuple[DayContext, StoredContext]:
    """Make the day's context as pre-market would have frozen it, from the project's own defaults."""
    gates, risk = load_gates(), load_risk(DAY)
    stored = store_form(
        ContextSnapshot(
            account_id=ACCOUNT,
            trade_date=DAY,
            ruleset_version="campaign",
            profile=GateProfile.DESK,
            regimes={"MARKET": Regime.SIDEWAYS},
            calendar=load_calendar().data,
            margin=load_margins(),
            charges=load_charges(),
            allocations={Category.NSE_EQ: 0.9},
            adverse_allocation=0.1,
            regime_scope="market",
            trading_mode=TradingMode.PAPER,
            sizing=SizingConfig(),
            limits=risk.limits,
            kill_limits=risk.kill_limits,
            crowd=CrowdConfig(),
            lifetime=LifetimeRules(),
            latency_ns=250 * NS_PER_MS,
            drift_limits=dict(DRIFT_LIMITS),
            stale_after_ns=5 * NS_PER_SECOND,
            signal_fresh_ns=60 * NS_PER_SECOND,
            price_wait_ns=PRICE_WAIT_NS,
            entry_cutoff_ns=ENTRY_CUTOFF_NS,
            duplicate_window_ns=30 * NS_PER_MINUTE,
            duplicate_entry_ratio=0.005,
            reverse_mode=ReverseMode.LIVE,
            reverse_option_mode="off",
            allow_looser_stoploss=False,
            average_traded_value={},
            category_limits=risk.category_limits,
        )
    )
    rules = {rule.key: rule for rule in (_rule(name, is_adverse=False) for name in ADVISORS)}
    adverse = _rule(ADVERSE, is_adverse=True)
    ruleset = RuleSet(
        "campaign", GateProfile.DESK, rules, {adverse.key: adverse}, gates.match_minimums(GateProfile.DESK)
    )
    resolve = resolver_of([instrument(stock) for stock in STOCKS], Aliases())
    return build_context(read_snapshot(stored), ruleset, resolve), stored


def day() -> Day:
    """Give the day as a start of the daemon loads it."""
    made, stored = context()
    opened = DayOpened(DAY.isoformat(), "campaign", CORPUS_PAISE, True, 0, stored.context_hash)
    return Day(made, stored, opened, Aliases(), "campaign")


def session() -> tuple[int, int]:
    """Give open and close of the cash session, ns UTC."""
    hours = context()[0].calendar.hours(DAY, Segment.CASH)
    return hours.open_ns, hours.close_ns


class MemoryPrices:
    """Minute bars of prices that are known second by second, as far as they have come.

    Parameters
    ----------
    paths : dict of str to ndarray of int64
        Price of each second by key, paise, from `LEAD_S` before the start on.
    now_ns : callable
        True time.
    """

    def __init__(self, paths: dict[str, NDArray[np.int64]], now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._bars = {key: _bars(path) for key, path in paths.items()}

    def minute_bars(self, price_keys: Sequence[str], first: date, last: date) -> dict[str, BarArrays]:
        """Minute bars that are complete by now."""
        del first, last
        now_ns = self._now_ns()
        found = {}
        for key in price_keys:
            bars = self._bars.get(key)
            if bars is not None:
                done = int(np.searchsorted(bars.start_ns + NS_PER_MINUTE, now_ns, side="right"))
                found[key] = bars.take(slice(0, done))
        return found


def _bars(path: NDArray[np.int64]) -> BarArrays:
    count = len(path) // 60
    minutes = path[: count * 60].reshape(count, 60)
    first = START_NS - LEAD_S * NS_PER_SECOND
    start = first + np.arange(count, dtype=np.int64) * NS_PER_MINUTE
    volume = np.full(count, 1_000_000, dtype=np.int64)
    return BarArrays(
        start,
        minutes[:, 0].copy(),
        minutes.max(axis=1),
        minutes.min(axis=1),
        minutes[:, -1].copy(),
        volume,
        NS_PER_MINUTE,
    )
