"""Instrument rows from the broker's scrip master: compact, detailed and reduced layouts, dated or not."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from adapters.contract_sizes import ContractSizes
from adapters.instruments.reading import Row, Tally, day_of
from propdesk.intake.aliases import Aliases
from propdesk.intake.history import OPEN_END
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import Instrument, freeze_quantity_of_field, instrument_key

DEFAULT_TICK_PAISE: Final = 5
CATEGORIES: Final = {
    "EQUITY": Category.NSE_EQ,
    "FUTIDX": Category.INDEX_FUT,
    "FUTSTK": Category.STOCK_FUT,
    "OPTIDX": Category.INDEX_OPT,
    "OPTSTK": Category.STOCK_OPT,
}
_SHARE_TYPES = frozenset({"ES", "ETF", ""})
SHARE_SERIES: Final = ("EQ", "BE", "BZ", "SM", "ST", "SZ")
"""Series of shares and ETFs; bonds, units, warrants and partly paid shares have others. Where one symbol is
listed in several, the first of these is the one meant."""
_BLANKS = frozenset({"", "NA"})
"""What a master writes where a row has no such thing."""

_SYMBOL_OF_CONTRACT = re.compile(r"(.+?)-[A-Za-z]{3}[0-9]{4}(?:-|\Z)")
MASTER_LAYOUTS: Final[dict[str, dict[str, str]]] = {
    "compact": {
        "exchange": "SEM_EXM_EXCH_ID",
        "segment": "SEM_SEGMENT",
        "security_id": "SEM_SMST_SECURITY_ID",
        "instrument": "SEM_INSTRUMENT_NAME",
        "share_symbol": "SEM_TRADING_SYMBOL",
        "trading_symbol": "SEM_TRADING_SYMBOL",
        "underlying": "SM_SYMBOL_NAME",
        "lot": "SEM_LOT_UNITS",
        "expiry": "SEM_EXPIRY_DATE",
        "strike": "SEM_STRIKE_PRICE",
        "option_type": "SEM_OPTION_TYPE",
        "tick": "SEM_TICK_SIZE",
        "share_type": "SEM_EXCH_INSTRUMENT_TYPE",
        "series": "SEM_SERIES",
    },
    "detailed": {
        "exchange": "EXCH_ID",
        "segment": "SEGMENT",
        "security_id": "SECURITY_ID",
        "instrument": "INSTRUMENT",
        # SYMBOL_NAME is a contract's trading symbol, but of a share the company's name: HDFC BANK LTD.
        "share_symbol": "UNDERLYING_SYMBOL",
        "trading_symbol": "SYMBOL_NAME",
        "underlying": "UNDERLYING_SYMBOL",
        "lot": "LOT_SIZE",
        "expiry": "SM_EXPIRY_DATE",
        "strike": "STRIKE_PRICE",
        "option_type": "OPTION_TYPE",
        "tick": "TICK_SIZE",
        "share_type": "INSTRUMENT_TYPE",
        "series": "SERIES",
    },
    "reduced": {
        "exchange_segment": "exchangeSegment",
        "security_id": "securityId",
        "instrument": "instrument",
        "share_symbol": "tradingSymbol",
        "trading_symbol": "tradingSymbol",
        "expiry": "expiryDate",
        "strike": "strikePrice",
        "option_type": "optionType",
    },
}
_NUMBERS: Final = (
    ("lot", "BAD_LOT"),
    ("tick", "BAD_TICK"),
    ("freeze_quantity", "BAD_FREEZE"),
    ("freeze_field", "BAD_FREEZE"),
)
_RUPEES = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,2})0{0,6})?\Z")
_WHOLE = re.compile(r"([0-9]{1,18})(?:\.0{1,6})?\Z")
_ZERO = re.compile(r"0+(?:\.0{1,6})?\Z")
_OWN_COLUMNS = ("valid_from", "valid_to", "freeze_quantity", "has_derivatives")
"""What our own dated masters carry beside the broker's columns."""
_FREEZE_FIELDS = ("SM_FREEZE_QTY", "SEM_FREEZE_QTY")
"""Columns some masters carry: (max lots x lot) + 1, the first quantity the exchange refuses."""

_SEGMENTS = {("NSE", "E"): "NSE_EQ", ("NSE", "D"): "NSE_FNO", ("BSE", "D"): "BSE_FNO"}


def read_master(
    rows: Iterable[Row], layout: str, day: date, sizes: ContractSizes, aliases: Aliases, tally: Tally
) -> list[tuple[int, Instrument]]:
    """Read the rows of a master.

    Parameters
    ----------
    rows : iterable of Row
        By the column names of ``layout``.
    layout : str
        One of `MASTER_LAYOUTS`.
    day : date
        Day from which a snapshot's values hold.
    sizes : ContractSizes
        Lots for layouts that carry none.

    Returns
    -------
    list of (int, Instrument)
        Row number and instrument: NSE shares and ETFs, NSE and BSE derivatives on indices and shares.
    """
    places = MASTER_LAYOUTS[layout]
    found: list[tuple[int, Instrument]] = []
    for row in rows:
        cells = {name: row.cells.get(column, "") for name, column in places.items()}
        cells |= {name: row.cells.get(name, "") for name in _OWN_COLUMNS}
        cells["freeze_field"] = next((row.cells[name] for name in _FREEZE_FIELDS if row.cells.get(name)), "")
        one = _instrument(row, cells, day, sizes, aliases, tally)
        if one is not None:
            found.append((row.number, one))
    return one_series_each(_with_derivatives_flag(found), tally)


def _instrument(
    row: Row, cells: Mapping[str, str], day: date, sizes: ContractSizes, aliases: Aliases, tally: Tally
) -> Instrument | None:
    category = CATEGORIES.get(cells["instrument"])
    segment = cells.get("exchange_segment") or _SEGMENTS.get(
        (cells.get("exchange", ""), cells.get("segment", "")), ""
    )
    wanted = ("NSE_EQ",) if category is Category.NSE_EQ else ("NSE_FNO", "BSE_FNO")
    if category is None or segment not in wanted:
        tally.skip(f"{cells['instrument'] or 'no instrument'} of another market")
        return None
    if category is Category.NSE_EQ:
        return _share(row, cells, day, tally)
    contract = _contract(row, cells, category, segment, day, sizes, tally)
    return None if contract is None else canonical_contract(contract, aliases, day)


def canonical_contract(contract: Instrument, aliases: Aliases, day: date) -> Instrument:
    """Name a contract by its underlying's symbol of the day."""
    underlying = aliases.canonical(contract.underlying, day)
    if underlying == contract.underlying:
        return contract
    key = instrument_key(
        contract.category, underlying, contract.expiry, contract.strike_paise, contract.option_type
    )
    return replace(contract, underlying=underlying, instrument_key=key)


def _share(row: Row, cells: Mapping[str, str], day: date, tally: Tally) -> Instrument | None:
    symbol, series = cells["share_symbol"].upper(), _filled(cells.get("series", "")) or "EQ"
    # Some debentures are listed as shares (ES) under the symbol of their company: only the series tells.
    if cells.get("share_type", "") not in _SHARE_TYPES or series not in SHARE_SERIES:
        tally.skip("security other than shares and ETFs")
        return None
    if not _filled(symbol) or not cells["security_id"]:
        tally.reject(row, "NO_SYMBOL", "a share needs the exchange's symbol and a security id")
        return None
    validity = _validity(cells, day, OPEN_END)
    if validity is None:
        tally.reject(row, "BAD_VALIDITY", _validity_message(cells))
        return None
    numbers = _numbers(row, cells, tally)
    if numbers is None:
        return None
    return Instrument(
        instrument_key=instrument_key(Category.NSE_EQ, symbol),
        category=Category.NSE_EQ,
        underlying=symbol,
        expiry=None,
        strike_paise=None,
        option_type=None,
        exchange_segment="NSE_EQ",
        security_id=cells["security_id"],
        lot_size=numbers.lot or 1,
        tick_paise=numbers.tick or DEFAULT_TICK_PAISE,
        freeze_quantity=numbers.freeze_quantity(numbers.lot or 1),
        series=series,
        has_derivatives=cells["has_derivatives"] == "1",
        valid_from=validity[0],
        valid_to=validity[1],
    )


def _contract(
    row: Row,
    cells: Mapping[str, str],
    category: Category,
    segment: str,
    day: date,
    sizes: ContractSizes,
    tally: Tally,
) -> Instrument | None:
    expiry = day_of(cells["expiry"])
    underlying = _underlying(cells)
    strike, option_type = strike_of(cells["strike"]), OptionType.__members__.get(cells["option_type"])
    if not category.is_option:
        strike, option_type = None, None
    if expiry is None or not underlying or (category.is_option and (strike is None or option_type is None)):
        tally.reject(row, "BAD_CONTRACT", "expiry, underlying, strike or option type cannot be read")
        return None
    if not cells["security_id"]:
        tally.reject(row, "NO_SYMBOL", "a contract needs a security id")
        return None
    validity = _validity(cells, day, expiry)
    if validity is None or expiry < validity[0]:
        code = "BAD_VALIDITY" if validity is None else "PAST_EXPIRY"
        tally.reject(row, code, _validity_message(cells) if validity is None else f"it expired on {expiry}")
        return None
    numbers = _numbers(row, cells, tally)
    if numbers is None:
        return None
    lot = numbers.lot or sizes.lot_size(underlying, expiry, validity[0])
    if lot is None:
        message = f"{underlying} {expiry}: load the exchange's lot table of that month, then this file again"
        tally.reject(row, "NO_LOT_SIZE", message)
        return None
    return Instrument(
        instrument_key=instrument_key(category, underlying, expiry, strike, option_type),
        category=category,
        underlying=underlying,
        expiry=expiry,
        strike_paise=strike,
        option_type=option_type,
        exchange_segment=segment,
        security_id=cells["security_id"],
        lot_size=lot,
        tick_paise=numbers.tick or DEFAULT_TICK_PAISE,
        freeze_quantity=numbers.freeze_quantity(lot),
        series=_filled(cells.get("series", "")) or "XX",
        has_derivatives=False,
        valid_from=validity[0],
        valid_to=min(validity[1], expiry),
    )


def _filled(text: str) -> str:
    return "" if text in _BLANKS else text


def _underlying(cells: Mapping[str, str]) -> str:
    """Name the underlying: the trading symbol's head, else its own column (blank in most derivatives)."""
    found = _SYMBOL_OF_CONTRACT.match(cells["trading_symbol"])
    named = cells.get("underlying", "")
    return (found[1] if found else _filled(named)).upper().strip()


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What a row writes of sizes, 0 = nothing: our own freeze column holds the most, a broker's one more."""

    lot: int
    tick: int
    own_freeze: int
    freeze_field: int

    def freeze_quantity(self, lot: int) -> int:
        """Largest quantity of one order; 0 = not named: whoever reads the master gets the exchange's."""
        if self.own_freeze or not self.freeze_field:
            return self.own_freeze
        return freeze_quantity_of_field(self.freeze_field, lot)


def _numbers(row: Row, cells: Mapping[str, str], tally: Tally) -> _Numbers | None:
    """Read the sizes of a row; one that is written and cannot be read is never taken for absent."""
    found = []
    for name, code in _NUMBERS:
        text = cells.get(name, "")
        number = 0 if text in _BLANKS or _ZERO.match(text) else whole(text)
        if number is None:
            tally.reject(row, code, f"{code[4:].lower()} {text!r} is no whole number of units or paise")
            return None
        found.append(number)
    return _Numbers(*found)


def _validity(cells: Mapping[str, str], day: date, end: date) -> tuple[date, date] | None:
    if not cells["valid_from"]:
        return (day, end)
    first = day_of(cells["valid_from"])
    last = day_of(cells["valid_to"]) if cells["valid_to"] else end
    return None if first is None or last is None or last < first else (first, last)


def _validity_message(cells: Mapping[str, str]) -> str:
    return f"valid_from {cells['valid_from']!r}, valid_to {cells['valid_to']!r} are no range of days"


def strike_of(text: str) -> int | None:
    """Read a strike in rupees as paise; None if it is no positive price of whole paise."""
    return paise_of(text) or None


def paise_of(text: str) -> int | None:
    """Read rupees as paise, 0 included; None if it is no plain decimal of whole paise."""
    match = _RUPEES.match(text)
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else None


def whole(text: str, most: int = 10**9) -> int | None:
    """Read a positive number below ``most`` written 5, 5.0 or 5.0000; None for anything else."""
    match = _WHOLE.match(text)
    return int(match[1]) if match and 1 <= int(match[1]) < most else None


def _with_derivatives_flag(rows: list[tuple[int, Instrument]]) -> list[tuple[int, Instrument]]:
    with_derivatives = {one.underlying for _, one in rows if one.category.is_stock_derivative}
    return [
        (number, replace(one, has_derivatives=True))
        if one.category is Category.NSE_EQ and one.underlying in with_derivatives
        else (number, one)
        for number, one in rows
    ]


def one_series_each(rows: list[tuple[int, Instrument]], tally: Tally) -> list[tuple[int, Instrument]]:
    """Keep one row per key and start: of several series the one meant, of repeats the last."""
    best: dict[tuple[str, date], tuple[int, Instrument]] = {}
    for number, one in rows:
        name = (one.instrument_key, one.valid_from)
        other = best.get(name)
        if other is not None:
            tally.skip("further series or repeat of one instrument")
            if _rank(other[1]) < _rank(one):
                continue
        best[name] = (number, one)
    return list(best.values())


def _rank(one: Instrument) -> int:
    return SHARE_SERIES.index(one.series) if one.series in SHARE_SERIES else len(SHARE_SERIES)
