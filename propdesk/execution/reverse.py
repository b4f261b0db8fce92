"""Turn an idea into its opposite (§5.4)."""

from dataclasses import dataclass

from propdesk.core.limits import LEVEL_SHARE_MAX
from propdesk.core.money import Rounding, round_to_tick
from propdesk.model.enums import EntryType, Side

_PLACES = {EntryType.LIMIT: EntryType.STOP, EntryType.STOP: EntryType.LIMIT}


@dataclass(frozen=True, slots=True)
class TradePlan:
    """Side, entry and levels of an idea. Prices in paise; no entry price for MARKET."""

    side: Side
    entry_type: EntryType
    entry_low_paise: int | None
    entry_high_paise: int | None
    stop_paise: int | None
    targets_paise: tuple[int, ...]


def reverse_plan(plan: TradePlan, *, reference_paise: int, tick_paise: int) -> TradePlan | None:
    """Flip an idea so that its entry happens at the same event and its levels change roles.

    Parameters
    ----------
    plan : TradePlan
        The advisor's idea.
    reference_paise : int
        Price the entry is expected at, for the 30 % bound of a MARKET or RANGE entry; an entry with one
        price uses that.
    tick_paise : int
        Tick of the instrument; bounded levels are rounded towards the entry.

    Returns
    -------
    TradePlan or None
        LIMIT and STOP entries change places; the nearest target is the stop, the advisor's stop the only
        target (none, if there was none). None for an idea without target (REVERSE_NO_STOP).

    Notes
    -----
    Reversing twice gives the side, the entry, the stop and the nearest target back, as long as both lie
    within 30 % of the entry. Source: §5.4.
    """
    if not plan.targets_paise:
        return None
    low, high = plan.entry_low_paise, plan.entry_high_paise
    entry = low if low is not None and low == high else reference_paise
    target = plan.stop_paise
    return TradePlan(
        side=plan.side.opposite,
        entry_type=_PLACES.get(plan.entry_type, plan.entry_type),
        entry_low_paise=low,
        entry_high_paise=high,
        stop_paise=_within_bound(plan.targets_paise[0], entry, tick_paise),
        targets_paise=() if target is None else (_within_bound(target, entry, tick_paise),),
    )


def _within_bound(level: int, entry: int, tick_paise: int) -> int:
    reach = int(entry * LEVEL_SHARE_MAX)
    if abs(level - entry) <= reach:
        return level
    if level > entry:
        return round_to_tick(entry + reach, tick_paise, Rounding.DOWN)
    return round_to_tick(entry - reach, tick_paise, Rounding.UP)
