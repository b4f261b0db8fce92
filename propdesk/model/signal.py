"""Advisor ideas and what is later said about them."""

from dataclasses import dataclass
from datetime import date

from propdesk.model.enums import Category, Direction, EntryType, FollowupKind, OptionType, Period, Side


@dataclass(frozen=True, slots=True)
class Signal:
    """One advisor call, typed (§1.1). Prices in paise, stamps in ns UTC.

    ``entry_low_paise == entry_high_paise`` but for RANGE; both None for MARKET.
    ``targets_paise`` run away from the entry; empty = none given. ``expiry_rule`` stands where no date was
    given: ``CURRENT_WEEKLY``, ``NEXT_MONTHLY``, ``MONTH-01``, ``DAY-01-30`` …; the day's listed expiries
    decide.
    """

    signal_id: str
    revision: int
    source: str
    source_message_id: str
    advisor_id: str
    advisor_name: str
    sebi_reg_no: str | None
    posted_ns: int
    received_ns: int
    category: Category
    underlying: str
    expiry: date | None
    strike_paise: int | None
    option_type: OptionType | None
    side: Side
    entry_type: EntryType
    entry_low_paise: int | None
    entry_high_paise: int | None
    stoploss_paise: int | None
    targets_paise: tuple[int, ...]
    declared_period: Period | None
    group_key: str | None
    reported_status: str | None = None
    reported_exit_paise: int | None = None
    reported_exit_ns: int | None = None
    expiry_rule: str | None = None

    @property
    def direction(self) -> Direction:
        """What the signal says about its underlying (§5.5)."""
        return sentiment(self.side, self.option_type)


@dataclass(frozen=True, slots=True)
class Followup:
    """A later word about a signal (§1.2). ``fraction`` in (0, 1] for PARTIAL_EXIT."""

    followup_id: str
    signal_id: str | None
    source: str
    advisor_id: str
    underlying: str | None
    posted_ns: int
    received_ns: int
    kind: FollowupKind
    stoploss_paise: int | None = None
    targets_paise: tuple[int, ...] = ()
    fraction: float | None = None


def sentiment(side: Side, option_type: OptionType | None) -> Direction:
    """Tell the direction of a trade on its underlying (§5.5).

    Examples
    --------
    >>> sentiment(Side.SELL, OptionType.PE).value
    'BULLISH'
    """
    bullish = (side is Side.BUY) != (option_type is OptionType.PE)
    return Direction.BULLISH if bullish else Direction.BEARISH
