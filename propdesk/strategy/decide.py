"""Small pure questions on the way to a decision: duplicates, dimensions, reverse permission."""

from dataclasses import dataclass

from propdesk.model.enums import Category, EntryType, ReverseMode, TradingMode
from propdesk.model.signal import Signal


@dataclass(frozen=True, slots=True)
class IdeaMoment:
    """What of an earlier idea a repost is compared with."""

    signal_id: str
    reference_paise: int | None
    received_ns: int


def midpoint(signal: Signal) -> int | None:
    """Entry a repost is compared by, paise; None for MARKET."""
    low, high = signal.entry_low_paise, signal.entry_high_paise
    if signal.entry_type is EntryType.MARKET or low is None or high is None:
        return None
    return (low + high) // 2


def is_repost(
    earlier: IdeaMoment, reference_paise: int | None, received_ns: int, window_ns: int, ratio: float
) -> bool:
    """Whether an idea repeats an earlier one of the same advisor, instrument and side (§1.6).

    Parameters
    ----------
    earlier : IdeaMoment
        The earlier idea.
    reference_paise : int or None
        Entry of the new one; two MARKET entries are always near each other.
    window_ns : int
        Reposts lie within this time.
    ratio : float
        Reposts' entries lie within this ratio of the earlier entry.
    """
    if not 0 <= received_ns - earlier.received_ns <= window_ns:
        return False
    if earlier.reference_paise is None or reference_paise is None:
        return earlier.reference_paise is reference_paise
    return abs(reference_paise - earlier.reference_paise) <= ratio * earlier.reference_paise


def reverse_permission(
    mode: ReverseMode, trading_mode: TradingMode, category: Category, option_mode: str
) -> ReverseMode:
    """Tell what becomes of a reverse trade now: OFF, SHADOW (recorded only) or LIVE (ordered).

    Notes
    -----
    ``paper`` orders only while the account trades on paper; a live account then records only. Bought
    options are reversed only where a way to do it is chosen (``sell``). Source: §4.4, §5.4.
    """
    if mode is ReverseMode.OFF or (category.is_option and option_mode != "sell"):
        return ReverseMode.OFF
    if mode is ReverseMode.SHADOW:
        return ReverseMode.SHADOW
    if mode is ReverseMode.PAPER and trading_mode is not TradingMode.PAPER:
        return ReverseMode.SHADOW
    return ReverseMode.LIVE
