"""Instrument rows from the exchange's own files: bhavcopies (what traded that day) and lot tables."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from adapters.contract_sizes import ContractSizes
from adapters.instruments.reading import Row, Tally, day_of
from adapters.instruments.scrip_master import (
    CATEGORIES,
    SHARE_SERIES,
    canonical_contract,
    one_series_each,
    paise_of,
    strike_of,
    whole,
)
from propdesk.core.errors import SchemaFault
from propdesk.intake.aliases import Aliases
from propdesk.intake.history import OPEN_END
from propdesk.intake.oneline import MONTHS
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import ContractLot, Instrument, instrument_key
from propdesk.sim.market_rules import ContractRules

_UDIFF_TYPES: Final = {
    "STK": Category.NSE_EQ,
    "IDF": Category.INDEX_FUT,
    "STF": Category.STOCK_FUT,
    "IDO": Category.INDEX_OPT,
    "STO": Category.STOCK_OPT,
}
_MONTH: Final = re.compile(r"([A-Z]{3})-([0-9]{2})\Z")
_LOT_HEADING: Final = "SYMBOL"
_TRADED_MAX: Final = 10**15
"""Units traded in a day are below this; a cheap share's future can trade more than a thousand million."""


@dataclass(frozen=True, slots=True)
class BhavcopyLayout:
    """Columns of one bhavcopy layout; an empty name = the layout has none.

    ``quantity`` and ``contracts`` are what traded in units and in lots: together they tell the lot.
    """

    symbol: str
    close: str
    kind: str = ""
    series: str = ""
    expiry: str = ""
    strike: str = ""
    option_type: str = ""
    day: str = ""
    lot: str = ""
    quantity: str = ""
    contracts: str = ""
    security_id: str = ""
    exchange: str = ""
    segment: str = ""


BHAVCOPIES: Final = {
    "fo_futures": BhavcopyLayout(
        "SYMBOL",
        "CLOSE_PRICE",
        kind="INSTRUMENT",
        expiry="EXP_DATE",
        quantity="TRD_QTY",
        contracts="NO_OF_CONT",
    ),
    "fo_options": BhavcopyLayout(
        "SYMBOL",
        "CLOSE_PRICE",
        kind="INSTRUMENT",
        expiry="EXP_DATE",
        strike="STR_PRICE",
        option_type="OPT_TYPE",
        quantity="TRD_QTY",
        contracts="NO_OF_CONT",
    ),
    "fo_classic": BhavcopyLayout(
        "SYMBOL",
        "CLOSE",
        kind="INSTRUMENT",
        expiry="EXPIRY_DT",
        strike="STRIKE_PR",
        option_type="OPTION_TYP",
        day="TIMESTAMP",
    ),
    "udiff": BhavcopyLayout(
        "TckrSymb",
        "ClsPric",
        kind="FinInstrmTp",
        series="SctySrs",
        expiry="XpryDt",
        strike="StrkPric",
        option_type="OptnTp",
        day="TradDt",
        lot="NewBrdLotQty",
        security_id="FinInstrmId",
        exchange="Src",
        segment="Sgmt",
    ),
    "equity_delivery": BhavcopyLayout("SYMBOL", "CLOSE_PRICE", series="SERIES", day="DATE1"),
    "equity_classic": BhavcopyLayout("SYMBOL", "CLOSE", series="SERIES", day="TIMESTAMP"),
}
"""Layouts by name: the futures and options files of today, the F&O file up to July 2024, the unified file
(UDiFF) of all segments since then, the equity file with delivery, the equity file up to July 2024."""


@dataclass(frozen=True, slots=True)
class Dated:
    """A bhavcopy's day and the tables of that day that its instruments are completed from."""

    day: date
    sizes: ContractSizes
    rules: ContractRules
    aliases: Aliases


def read_bhavcopy(
    rows: Iterable[Row],
    layout: str,
    day: date | None,
    tables_on: Callable[[date], Dated],
    tally: Tally,
    name: str,
) -> tuple[date, list[tuple[int, Instrument]]]:
    """Read what traded on a day.

    Parameters
    ----------
    rows : iterable of Row
        By the column names of ``layout``.
    layout : str
        One of `BHAVCOPIES`.
    day : date, optional
        Day of the file, where the rows do not carry it.
    tables_on : callable
        Tables of a day: lots and ticks, which a bhavcopy does not carry.

    Returns
    -------
    date, list of (int, Instrument)
        The file's day; row number and instrument. A contract holds until its expiry, a share until further
        notice.

    Raises
    ------
    SchemaFault
        If the rows carry no day, several, or another than ``day``.

    Notes
    -----
    Where a contract traded, quantity / contracts IS its lot: the file itself says so, and no table is asked.
    The lot of a contract that did not trade is that of the same underlying and expiry in the same file.
    """
    columns = BHAVCOPIES[layout]
    if day is None and not columns.day:
        raise SchemaFault(f"{name} carries no day: name it like fo14112025.csv or give --day.")
    traded: dict[tuple[str, str], int] = {}
    if columns.quantity:
        # Lots show only when every trade is known; these files are the small ones.
        rows = list(rows)
        traded = _traded_lots(rows, columns)
    dated: Dated | None = None
    found_rows = []
    for row in rows:
        category = _category(row, columns, tally)
        if category is None:
            continue
        named = day_of(row.cells[columns.day]) if columns.day else day
        if named is None:
            tally.reject(row, "BAD_DAY", f"{row.cells[columns.day]!r} is no day")
            continue
        if named != (day or named):
            raise SchemaFault(f"{name} speaks of {named} and of {day}: a bhavcopy is of one day.")
        day = named
        dated = dated or tables_on(day)
        if category is Category.NSE_EQ:
            one = _share(row, columns, day, dated, tally)
        else:
            one = _contract(row, category, columns, day, dated, traded, tally)
        if one is not None:
            found_rows.append((row.number, one))
    if day is None:
        raise SchemaFault(f"{name} holds no row with a readable day: check the file.")
    return day, one_series_each(found_rows, tally)


def _category(row: Row, columns: BhavcopyLayout, tally: Tally) -> Category | None:
    if not columns.kind:
        category: Category | None = Category.NSE_EQ
    elif columns.segment:
        category = _UDIFF_TYPES.get(row.cells[columns.kind])
        exchange = row.cells[columns.exchange]
        is_ours = exchange == "NSE" or (exchange == "BSE" and row.cells[columns.segment] == "FO")
        category = category if is_ours else None
    else:
        category = CATEGORIES.get(row.cells[columns.kind])
    if category is None:
        tally.skip(f"{row.cells[columns.kind] or 'no instrument'} of another market")
    return category


def _traded_lots(rows: Iterable[Row], columns: BhavcopyLayout) -> dict[tuple[str, str], int]:
    """Lot per (symbol, expiry as written) from what traded; 0 where the rows do not agree on one."""
    lots: dict[tuple[str, str], int] = {}
    for row in rows:
        quantity = whole(row.cells[columns.quantity], _TRADED_MAX)
        contracts = whole(row.cells[columns.contracts], _TRADED_MAX)
        if quantity is None or contracts is None:
            continue
        name = (row.cells[columns.symbol], row.cells[columns.expiry])
        lot = quantity // contracts if quantity % contracts == 0 else 0
        lots[name] = lot if lots.get(name, lot) == lot else 0
    return lots


def _share(row: Row, columns: BhavcopyLayout, day: date, dated: Dated, tally: Tally) -> Instrument | None:
    symbol, series = row.cells[columns.symbol].upper(), row.cells[columns.series].upper()
    if series not in SHARE_SERIES:
        tally.skip("security other than shares and ETFs")
        return None
    close = strike_of(row.cells[columns.close])
    if not symbol or close is None:
        code = "BAD_PRICE" if symbol else "NO_SYMBOL"
        tally.reject(row, code, f"{symbol or 'a share'} has close {row.cells[columns.close]!r}")
        return None
    return Instrument(
        instrument_key=instrument_key(Category.NSE_EQ, symbol),
        category=Category.NSE_EQ,
        underlying=symbol,
        expiry=None,
        strike_paise=None,
        option_type=None,
        exchange_segment="NSE_EQ",
        security_id=row.cells[columns.security_id] if columns.security_id else "",
        lot_size=1,
        tick_paise=dated.rules.tick("CASH", day, close),
        freeze_quantity=0,
        series=series,
        has_derivatives=False,
        valid_from=day,
        valid_to=OPEN_END,
    )


def _contract(
    row: Row,
    category: Category,
    columns: BhavcopyLayout,
    day: date,
    dated: Dated,
    traded: Mapping[tuple[str, str], int],
    tally: Tally,
) -> Instrument | None:
    cells = row.cells
    symbol, expiry = cells[columns.symbol].upper(), day_of(cells[columns.expiry])
    strike = strike_of(cells[columns.strike]) if category.is_option and columns.strike else None
    option_type = OptionType.__members__.get(cells[columns.option_type]) if columns.option_type else None
    if not symbol or expiry is None or (category.is_option and (strike is None or option_type is None)):
        tally.reject(row, "BAD_CONTRACT", "expiry, underlying, strike or option type cannot be read")
        return None
    close = paise_of(cells[columns.close])
    if close is None or expiry < day:
        code = "BAD_PRICE" if close is None else "PAST_EXPIRY"
        tally.reject(row, code, f"{symbol} {expiry} with close {cells[columns.close]!r} on {day}")
        return None
    lot = _lot(row, columns, symbol, expiry, dated, traded, tally)
    if lot is None:
        return None
    kind = "OPTION" if category.is_option else "INDEX_FUT" if category is Category.INDEX_FUT else "CASH"
    option_type = option_type if category.is_option else None
    contract = Instrument(
        instrument_key=instrument_key(category, symbol, expiry, strike, option_type),
        category=category,
        underlying=symbol,
        expiry=expiry,
        strike_paise=strike,
        option_type=option_type,
        exchange_segment="BSE_FNO" if columns.exchange and cells[columns.exchange] == "BSE" else "NSE_FNO",
        security_id=cells[columns.security_id] if columns.security_id else "",
        lot_size=lot,
        tick_paise=dated.rules.tick(kind, day, close),
        freeze_quantity=0,
        series="XX",
        has_derivatives=False,
        valid_from=day,
        valid_to=expiry,
    )
    return canonical_contract(contract, dated.aliases, day)


def _lot(
    row: Row,
    columns: BhavcopyLayout,
    symbol: str,
    expiry: date,
    dated: Dated,
    traded: Mapping[tuple[str, str], int],
    tally: Tally,
) -> int | None:
    """Units per lot: the row's own, what trades of the day show, the lot table, the dated steps."""
    text = row.cells[columns.lot] if columns.lot else ""
    own = whole(text)
    if text and own is None:
        tally.reject(row, "BAD_LOT", f"lot {text!r} of {symbol} {expiry} is no whole number of units")
        return None
    shown = traded.get((row.cells[columns.symbol], row.cells[columns.expiry]))
    if own is None and shown == 0:
        tally.reject(row, "LOT_CONFLICT", f"trades of {symbol} {expiry} do not show one lot size")
        return None
    lot = own or shown or dated.sizes.lot_size(symbol, expiry, dated.day)
    if lot is None:
        message = f"{symbol} {expiry}: load the exchange's lot table of that month, then this file again"
        tally.reject(row, "NO_LOT_SIZE", message)
    return lot


# --------------------------------------------------------------------------------------------- lot tables


def lot_months(header: Iterable[str]) -> dict[str, date]:
    """Tell the months of expiry among a lot table's columns: ``NOV-22`` means November 2022."""
    found = {}
    for column in header:
        match = _MONTH.match(column.upper())
        if match and match[1] in MONTHS:
            found[column] = date(2000 + int(match[2]), MONTHS.index(match[1]) + 1, 1)
    return found


def read_lot_table(
    rows: Iterable[Row], months: Mapping[str, date], aliases: Aliases, day: date, tally: Tally
) -> list[ContractLot]:
    """Read the exchange's table of market lots.

    Parameters
    ----------
    rows : iterable of Row
        Columns UNDERLYING, SYMBOL and one per month of expiry; an empty cell = no such contract.
    months : mapping of str to date
        Those columns and the months they name.
    day : date
        Day of the table.

    Returns
    -------
    list of ContractLot
        One per underlying and month; a row with an unreadable cell is kept as rejected, whole.
    """
    found: dict[tuple[str, date], ContractLot] = {}
    for row in rows:
        symbol = row.cells["SYMBOL"].upper()
        if symbol == _LOT_HEADING:
            tally.skip("heading")
            continue
        lots = list(_lots_of(row, months))
        if not symbol or not lots or any(lot is None for _, lot in lots):
            code = "BAD_LOT" if symbol else "NO_SYMBOL"
            tally.reject(row, code, f"lots of {symbol or 'no symbol'}: {[row.cells[m] for m in months]}")
            continue
        underlying = aliases.canonical(symbol, day)
        for month, lot in lots:
            if lot is not None:
                found[underlying, month] = ContractLot(underlying, month, lot)
        tally.taken += 1
    return list(found.values())


def _lots_of(row: Row, months: Mapping[str, date]) -> Iterator[tuple[date, int | None]]:
    for column, month in months.items():
        if row.cells[column]:
            yield month, whole(row.cells[column])
