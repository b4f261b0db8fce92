"""Step 6: the state of the market and of every underlying, known before each open (§2.7)."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from propdesk.core.calendar import MarketCalendar, ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY
from propdesk.indicators.adjustment import in_terms_of
from propdesk.indicators.regime import RegimeConfig, label_for
from propdesk.model.corporate_action import NO_ACTIONS, Actions, CorporateAction
from propdesk.ports import BarArrays

MARKET_SCOPE = "MARKET"
MARKET_KEY = "INDEX:NIFTY"
"""Whose state is the market's: NIFTY 50."""

COLUMNS = (
    *("trade_date", "scope", "label", "reason", "realised_label", "adx", "slope", "close_to_ema20"),
    *("log_return_20", "lean_threshold"),
)


def compute_regimes(
    daily: dict[str, BarArrays],
    trade_dates: Sequence[date],
    calendar: MarketCalendar,
    config: RegimeConfig | None = None,
    actions: Actions = NO_ACTIONS,
) -> pd.DataFrame:
    """Label every trade date for the market and for each underlying.

    Parameters
    ----------
    daily : dict of str to BarArrays
        Daily bars by price key (``INDEX:NIFTY``, ``NSE_EQ:RELIANCE``), from ``config.history_days`` before
        the first trade date on; older ones change nothing.
    trade_dates : sequence of date
        Days to label.
    calendar : MarketCalendar
        Tells the market day before each, whose bar must be there.
    config : RegimeConfig, optional
        Parameters.
    actions : Actions, optional
        Corporate actions: each label reads bars in the terms of its last one, restated by what was known on
        that morning; the realised label by everything up to the day itself.

    Returns
    -------
    DataFrame
        Rows of ref.regimes in the order of (trade_date, scope): ``label`` from bars before the trade date,
        ``realised_label`` with the day's own bar (null until it exists). The scope is MARKET or the name of
        the underlying; MARKET has a row for every date.
    """
    config = config or RegimeConfig()
    series = [(key.split(":", 1)[1], key, bars) for key, bars in daily.items()]
    series.append((MARKET_SCOPE, MARKET_KEY, daily.get(MARKET_KEY, _NO_BARS)))
    before = {day: calendar.previous_day(day) for day in trade_dates}
    rows = [
        _row(day, before[day], scope, bars, config, actions.of(key, date.min, day))
        for scope, key, bars in series
        for day in before
    ]
    rows.sort(key=lambda row: (row[0], row[1]))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(
    day: date,
    previous: date,
    scope: str,
    bars: BarArrays,
    config: RegimeConfig,
    actions: list[CorporateAction],
) -> tuple[Any, ...]:
    midnight = ist_midnight_ns(day)
    reach = midnight - config.history_days * NS_PER_DAY
    begin, before, until = np.searchsorted(
        bars.start_ns, [reach, midnight, midnight + NS_PER_DAY], side="left"
    )
    told = [one for one in actions if one.known_on <= day]
    known = label_for(in_terms_of(bars.take(slice(begin, before)), told, previous), previous, config)
    whole = in_terms_of(bars.take(slice(begin, until)), actions, day)
    realised = label_for(whole, day, config).label if until > before else None
    return (
        day,
        scope,
        None if known.label is None else known.label.value,
        known.reason,
        None if realised is None else realised.value,
        known.adx,
        known.slope,
        known.close_to_ema20,
        known.log_return_20,
        known.lean_threshold,
    )


_NONE = np.empty(0, np.int64)
_NO_BARS = BarArrays(_NONE, _NONE, _NONE, _NONE, _NONE, _NONE, NS_PER_DAY)
