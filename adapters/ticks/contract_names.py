"""Price keys of derivatives: from the columns of a bhavcopy or from a trading symbol."""

import re
from datetime import date
from functools import lru_cache
from typing import Final

from adapters.contract_rules import load_contract_rules
from adapters.instruments.reading import day_of
from adapters.instruments.scrip_master import strike_of
from adapters.ticks.columns import Context
from propdesk.intake.aliases import Aliases
from propdesk.intake.oneline import MONTHS
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import instrument_key
from propdesk.sim.market_rules import MONTHLY, STOCK, expiries

_MONTHLY_NAME: Final = re.compile(
    rf"([A-Z][A-Z0-9&\-]*?)([0-9]{{2}})({'|'.join(MONTHS)})(?:([0-9.]+)(CE|PE)|FUT)\Z"
)


def contract_of_cells(
    category: Category,
    symbol: str,
    expiry: str,
    strike: str,
    option_type: str,
    *,
    day: date,
    aliases: Aliases,
) -> str | None:
    """Name the contract of a bhavcopy's row.

    Parameters
    ----------
    symbol, expiry, strike, option_type : str
        As the file writes them, without blanks around; strike and type count for options only.
    day : date
        Day of the row: renamed underlyings have their name of that day.

    Returns
    -------
    str or None
        Price key; None where a part of it cannot be read.
    """
    expires = day_of(expiry)
    level = strike_of(strike) if category.is_option else None
    kind = OptionType.__members__.get(option_type) if category.is_option else None
    if not symbol or expires is None or (category.is_option and (level is None or kind is None)):
        return None
    return instrument_key(category, aliases.canonical(symbol.upper(), day), expires, level, kind)


def contract_of_name(name: str, context: Context) -> str | None:
    """Name the contract of a trading symbol such as ``BANKNIFTY21SEP35300CE``.

    Returns
    -------
    str or None
        Price key; None for a weekly or unreadable symbol, and where no expiry rule reaches.

    Notes
    -----
    Such a symbol names the month only: the contract expires on the month's last day of the expiry weekday,
    by the exchange's dated rules.
    """
    match = _MONTHLY_NAME.match("".join(name.split()).upper())
    if match is None:
        return None
    symbol, year, month, strike, kind = match.groups()
    first = date(2000 + int(year), MONTHS.index(month) + 1, 1)
    underlying = context.aliases.canonical(symbol, first)
    is_index = context.aliases.is_index(underlying)
    expires = _monthly_expiry(underlying if is_index else STOCK, first, context)
    level = strike_of(strike) if strike else None
    if expires is None or (strike and level is None):
        return None
    names = ("INDEX_OPT", "STOCK_OPT") if strike else ("INDEX_FUT", "STOCK_FUT")
    category = Category(names[0 if is_index else 1])
    return instrument_key(category, underlying, expires, level, OptionType(kind) if strike else None)


def _monthly_expiry(underlying: str, first: date, context: Context) -> date | None:
    last = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    found = expiries(_rules().expiries, underlying, MONTHLY, first, last, context.calendar)
    return next((day for day in found if day.month == first.month), None)


_rules = lru_cache(maxsize=1)(load_contract_rules)
