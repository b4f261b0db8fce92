"""Price checks of an idea before it becomes a trade, and the entry price it is sized at (§5.3)."""

from dataclasses import replace

from propdesk.core.money import Rounding, round_to_tick
from propdesk.model.enums import EntryType, Side
from propdesk.model.messages import DecisionCode
from propdesk.model.signal import Signal


def reference_entry(signal: Signal, last_paise: int) -> int:
    """Price at which the entry is expected: its own, the worse end of a range, or the last price (MARKET)."""
    low, high = signal.entry_low_paise, signal.entry_high_paise
    if signal.entry_type is EntryType.MARKET or low is None or high is None:
        return last_paise
    return high if signal.side is Side.BUY else low


def entry_drift(signal: Signal, last_paise: int) -> float:
    """Distance of the last price from the entry, as ratio of it; 0 inside a range and for MARKET."""
    low, high = signal.entry_low_paise, signal.entry_high_paise
    if signal.entry_type is EntryType.MARKET or low is None or high is None:
        return 0.0
    nearest = min(max(last_paise, low), high)
    return abs(last_paise - nearest) / nearest


def check_price(signal: Signal, last_paise: int, drift_limit: float) -> tuple[DecisionCode, str] | None:
    """Refuse an idea whose price has run away or is already through its levels.

    Parameters
    ----------
    signal : Signal
        The advisor's idea, levels on tick.
    last_paise : int
        Last traded price, known fresh.
    drift_limit : float
        Largest accepted `entry_drift`, ratio.

    Returns
    -------
    tuple of DecisionCode and str, or None
        PRICE_DRIFT or THROUGH_LEVEL with the figures; None where the price is in order.
    """
    sign = signal.side.sign
    drift = entry_drift(signal, last_paise)
    if signal.targets_paise and sign * (last_paise - signal.targets_paise[0]) >= 0:
        return DecisionCode.THROUGH_LEVEL, (
            f"the last price {last_paise} is already at or beyond the first target {signal.targets_paise[0]}"
        )
    if signal.stoploss_paise is not None and sign * (last_paise - signal.stoploss_paise) <= 0:
        return DecisionCode.THROUGH_LEVEL, (
            f"the last price {last_paise} is already at or beyond the stop {signal.stoploss_paise}"
        )
    if drift > drift_limit:
        return DecisionCode.PRICE_DRIFT, (
            f"the last price {last_paise} lies {drift:.4f} of the entry away, allowed are {drift_limit:.4f}"
        )
    return None


def protective_stop(side: Side, entry_paise: int, wse_p90: float, tick_paise: int) -> int | None:
    """Place a stop where the advisor gave none: at the rule's 90th percentile of WSE (§4.7).

    Parameters
    ----------
    wse_p90 : float
        Worst adverse move without a stop, ratio of the entry; NaN or <= 0 = no history.

    Returns
    -------
    int or None
        Stop on tick on the losing side (rounded away from the entry); None without a usable history.
    """
    if not 0 < wse_p90 < 1:
        return None
    sign = side.sign
    level = entry_paise - sign * int(entry_paise * wse_p90)
    stop = round_to_tick(level, tick_paise, Rounding.DOWN if sign > 0 else Rounding.UP)
    return stop if stop > 0 and sign * (entry_paise - stop) > 0 else None


def on_tick_grid(signal: Signal, tick_paise: int) -> Signal:
    """Move an idea's prices onto the instrument's tick grid, to the nearest tick (§1.1).

    Parameters
    ----------
    signal : Signal
        As the advisor wrote it.
    tick_paise : int
        Tick of the resolved instrument, > 0.

    Returns
    -------
    Signal
        The same object where every price lies on the grid; targets that fall together are one.
    """
    low, high, stop = (
        None if price is None else round_to_tick(price, tick_paise)
        for price in (signal.entry_low_paise, signal.entry_high_paise, signal.stoploss_paise)
    )
    targets = tuple(dict.fromkeys(round_to_tick(price, tick_paise) for price in signal.targets_paise))
    given = (signal.entry_low_paise, signal.entry_high_paise, signal.stoploss_paise, signal.targets_paise)
    if (low, high, stop, targets) == given:
        return signal
    return replace(
        signal, entry_low_paise=low, entry_high_paise=high, stoploss_paise=stop, targets_paise=targets
    )
