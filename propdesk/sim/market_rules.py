"""Dated rules of listed contracts: expiries, lots, freeze quantities and ticks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from propdesk.core.calendar import MarketCalendar
from propdesk.core.invariant import require

STOCK = "STOCK"
"""Stands for every stock in the rules of expiry."""

WEEKLY = "WEEKLY"
MONTHLY = "MONTHLY"
_DAYS_OF_WEEK = 7


@dataclass(frozen=True, slots=True)
class ExpiryRule:
    """Weekday (0 = Monday) on which contracts expire that expire on or after ``since``."""

    underlying: str
    cycle: str
    since: date
    weekday: int


@dataclass(frozen=True, slots=True)
class LotRule:
    """Units per lot of the contracts that expire on or after ``first_expiry``."""

    underlying: str
    first_expiry: date
    lot: int


@dataclass(frozen=True, slots=True)
class FreezeRule:
    """Largest quantity of one order from ``since`` on, units."""

    underlying: str
    since: date
    quantity: int


@dataclass(frozen=True, slots=True)
class TickRule:
    """Tick sizes from ``since`` on: ``bands`` of (highest price of the band, 0 = no end; tick), paise."""

    kind: str
    since: date
    bands: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ContractRules:
    """All dated rules together."""

    expiries: tuple[ExpiryRule, ...]
    lots: tuple[LotRule, ...]
    freezes: tuple[FreezeRule, ...]
    ticks: tuple[TickRule, ...]

    def lot(self, underlying: str, expiry: date) -> int:
        """Units per lot of an index contract; raises InvariantViolated where no rule reaches."""
        found = [r for r in self.lots if r.underlying == underlying and r.first_expiry <= expiry]
        require(bool(found), f"no lot size for {underlying} contracts that expire on {expiry}")
        return max(found, key=lambda r: r.first_expiry).lot

    def freeze(self, underlying: str, day: date) -> int:
        """Freeze quantity of an index on a day, units; 0 = not limited."""
        found = [r for r in self.freezes if r.underlying == underlying and r.since <= day]
        return max(found, key=lambda r: r.since).quantity if found else 0

    def freeze_changes(self, underlying: str) -> list[date]:
        """Days on which the freeze quantity of an index changes, rising."""
        return sorted(r.since for r in self.freezes if r.underlying == underlying)

    def tick(self, kind: str, day: date, price_paise: int) -> int:
        """Tick size on a day for an instrument last reviewed at ``price_paise``, paise."""
        found = [r for r in self.ticks if r.kind == kind and r.since <= day]
        require(bool(found), f"no tick size for {kind} on {day}")
        for highest, tick in max(found, key=lambda r: r.since).bands:
            if highest == 0 or price_paise <= highest:
                return tick
        raise AssertionError(f"the last band of {kind} must be open")

    def tick_changes(self, kind: str) -> list[date]:
        """Days on which the tick table of a kind changes, rising."""
        return sorted(r.since for r in self.ticks if r.kind == kind)


def expiries(
    rules: Sequence[ExpiryRule],
    underlying: str,
    cycle: str,
    first: date,
    last: date,
    calendar: MarketCalendar,
) -> list[date]:
    """List the expiries of one cycle in the closed interval, rising.

    Parameters
    ----------
    rules : sequence of ExpiryRule
        The newest rule that is in force on the nominal day counts.
    underlying : str
        ``NIFTY``, ``BANKNIFTY`` or ``STOCK``.
    cycle : str
        ``WEEKLY`` or ``MONTHLY``.
    first, last : date
        Bounds of the nominal day.
    calendar : MarketCalendar
        A nominal day without trading moves the expiry to the market day before it (reference: expiry rules).

    Returns
    -------
    list of date
        Market days.
    """
    found: list[date] = []
    day = first
    while day <= last:
        weekday = _weekday(rules, underlying, cycle, day)
        is_last_of_month = (day + timedelta(days=_DAYS_OF_WEEK)).month != day.month
        if day.weekday() == weekday and (cycle == WEEKLY or is_last_of_month):
            found.append(day if calendar.is_market_day(day) else calendar.shift(day, -1))
        day += timedelta(days=1)
    return sorted(set(found))


def _weekday(rules: Sequence[ExpiryRule], underlying: str, cycle: str, day: date) -> int:
    found = [r for r in rules if r.underlying == underlying and r.cycle == cycle and r.since <= day]
    return max(found, key=lambda r: r.since).weekday if found else -1
