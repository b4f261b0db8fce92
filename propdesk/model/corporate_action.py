"""Splits, bonuses and other events that change what a price of a share means."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """One event of one share.

    Attributes
    ----------
    price_key : str
        Of the share, ``NSE_EQ:RELIANCE``; it changes the contracts on the share alike.
    ex_date : date
        First day traded at the new price.
    factor : Fraction
        New price / old price, > 0: 1/2 for a bonus of one for one; 1 = no event, whatever prices suggest.
    kind : str
        SPLIT, BONUS, RIGHTS, DEMERGER, DIVIDEND or OTHER; for people, nothing depends on it.
    source : str
        ``file`` or ``prev_close`` (the exchange's own base price of the day).
    known_on : date
        First day on whose morning it was known; no decision of an earlier day may use it.
    """

    price_key: str
    ex_date: date
    factor: Fraction
    kind: str
    source: str
    known_on: date


class Actions:
    """Corporate actions by share, in order; build it from any number of them.

    Of two of one share and day the later given counts, so that what is sure is given last.
    """

    def __init__(self, actions: Iterable[CorporateAction] = ()) -> None:
        one_each = {(one.price_key, one.ex_date): one for one in actions}
        self._by_key: dict[str, list[CorporateAction]] = {}
        for key in sorted(one_each):
            self._by_key.setdefault(key[0], []).append(one_each[key])

    def __bool__(self) -> bool:
        return bool(self._by_key)

    def all(self) -> list[CorporateAction]:
        """List them by share and day."""
        return [one for actions in self._by_key.values() for one in actions]

    def of(self, price_key: str, after: date, until: date) -> list[CorporateAction]:
        """List a share's own with an ex-date after the first and not after the second day, rising."""
        mine = self._by_key.get(price_key, ())
        return [one for one in mine if after < one.ex_date <= until and one.factor != 1]

    def known_on(self, day: date) -> "Actions":
        """Keep what was known on the morning of a day."""
        return Actions(one for one in self.all() if one.known_on <= day)


NO_ACTIONS = Actions()
