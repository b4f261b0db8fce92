"""Daily bars from the exchange's bhavcopies: shares, futures and options, of every format since 2016."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from adapters.instruments.scrip_master import CATEGORIES
from adapters.ticks.columns import (
    IST_OFFSET_NS,
    NO_TIME,
    Batch,
    Context,
    Defect,
    Int64Array,
    coded,
    is_one_of,
    is_unnamed,
    ist_days,
    no_prices,
    nothing_marked,
    price_key,
    prices,
    texts,
    units,
    unnamed,
)
from adapters.ticks.contract_names import contract_of_cells
from propdesk.core.calendar import ist_date
from propdesk.core.errors import SchemaFault
from propdesk.model.enums import Category

_UDIFF_TYPES: Final = {
    "IDF": Category.INDEX_FUT,
    "STF": Category.STOCK_FUT,
    "IDO": Category.INDEX_OPT,
    "STO": Category.STOCK_OPT,
}
_SERIES: Final = ("EQ", "BE", "BZ")
"""Series whose lot is one share: an import makes instrument rows where no master stands (SME lots differ)."""
_DAY_IN_NAME: Final = re.compile(r"(?:fo|op)([0-9]{2})([0-9]{2})([0-9]{4})", re.IGNORECASE)
_SEPARATOR: Final = "\x1f"
"""Stands between the parts of a contract's name while a file's rows are told apart."""


@dataclass(frozen=True, slots=True)
class _Shares:
    """Columns of an equity bhavcopy."""

    day: str
    prices: tuple[str, str, str, str]
    prev_close: str
    volume: str


@dataclass(frozen=True, slots=True)
class _Contracts:
    """Columns of a derivatives bhavcopy; an empty name = the layout has none.

    ``volume`` is in units or, if ``in_contracts``, in contracts of ``lot`` units; without a lot column the
    units are not known.
    """

    kind: str
    categories: dict[str, Category]
    symbol: str
    expiry: str
    prices: tuple[str, str, str, str]
    strike: str = ""
    option_type: str = ""
    day: str = ""
    volume: str = ""
    lot: str = ""
    in_contracts: bool = False


_OHLC_PRICE: Final = ("OPEN_PRICE", "HIGH_PRICE", "LOW_PRICE", "CLOSE_PRICE")
_FO_TODAY: Final = ("OPEN_PRICE", "HI_PRICE", "LO_PRICE", "CLOSE_PRICE")
_OHLC: Final = ("OPEN", "HIGH", "LOW", "CLOSE")
_UDIFF_PRICES: Final = ("OpnPric", "HghPric", "LwPric", "ClsPric")
_FUTURES: Final = _Contracts("INSTRUMENT", CATEGORIES, "SYMBOL", "EXP_DATE", _FO_TODAY, volume="TRD_QTY")
_OPTIONS: Final = _Contracts(
    "INSTRUMENT", CATEGORIES, "SYMBOL", "EXP_DATE", _FO_TODAY, "STR_PRICE", "OPT_TYPE", volume="TRD_QTY"
)
_FO_CLASSIC: Final = _Contracts(
    "INSTRUMENT", CATEGORIES, "SYMBOL", "EXPIRY_DT", _OHLC, "STRIKE_PR", "OPTION_TYP", "TIMESTAMP",
    "CONTRACTS", in_contracts=True,
)  # fmt: skip
_UDIFF: Final = _Contracts(
    "FinInstrmTp", _UDIFF_TYPES, "TckrSymb", "XpryDt", _UDIFF_PRICES, "StrkPric", "OptnTp", "TradDt",
    "TtlTradgVol", "NewBrdLotQty", in_contracts=True,
)  # fmt: skip


def _read_shares(columns: _Shares) -> Callable[[pa.Table, Context], Batch]:
    def read(table: pa.Table, context: Context) -> Batch:
        keys, codes = coded(
            table["SYMBOL"], lambda symbol: price_key(symbol, context.aliases, may_be_index=False)
        )
        day = columns.day if columns.day in table.column_names else "Date"
        if day not in table.column_names:
            raise SchemaFault(f"A bhavcopy needs a column {columns.day} (or Date); this one has neither.")
        marked = nothing_marked(table.num_rows)
        marked[~is_one_of(table["SERIES"], _SERIES)] = Defect.OTHER_SERIES
        known = columns.prev_close in table.column_names
        return Batch(
            keys,
            codes,
            ist_days(table[day]),
            tuple(prices(table[name]) for name in columns.prices),
            units(table, columns.volume),
            marked,
            prices(table[columns.prev_close]) if known else no_prices(table.num_rows),
        )

    return read


def _read_contracts(columns: _Contracts) -> Callable[[pa.Table, Context], Batch]:
    def read(table: pa.Table, context: Context) -> Batch:
        count = table.num_rows
        days = ist_days(table[columns.day]) if columns.day else np.full(count, _day_in_name(context.stem))
        keys, codes = _contract_keys(table, columns, days, context)
        bars = tuple(prices(table[name]) for name in columns.prices)
        traded = units(table, columns.volume)
        volume = traded
        if columns.in_contracts:
            lot = units(table, columns.lot)
            volume = np.where((traded >= 0) & (lot > 0), traded * lot, -1)
        marked = nothing_marked(count)
        marked[np.array([is_unnamed(key) for key in keys], bool)[codes]] = Defect.BAD_CONTRACT
        # the close of a contract that did not trade is a settlement, not a price
        marked[traded == 0] = Defect.UNTRADED
        marked[~is_one_of(table[columns.kind], columns.categories)] = Defect.OTHER_MARKET
        return Batch(keys, codes, days, bars, volume, marked, no_prices(count))

    return read


def _contract_keys(
    table: pa.Table, columns: _Contracts, days: Int64Array, context: Context
) -> tuple[list[str], Int64Array]:
    """Price key of each row, or what it says where no contract can be read from it."""
    wanted = (columns.kind, columns.symbol, columns.expiry, columns.strike, columns.option_type)
    empty = pa.chunked_array([pa.array([""] * table.num_rows, pa.string())])
    parts = [texts(table[name]).fill_null("") if name else empty for name in wanted]
    parts.append(pa.chunked_array([pa.array(days.astype(str), pa.string())]))
    joined = pc.binary_join_element_wise(*parts, _SEPARATOR)

    def name(text: str) -> str:
        kind, symbol, expiry, strike, option_type, day = text.split(_SEPARATOR)
        category = columns.categories.get(kind)
        found = None
        if category is not None and category.is_derivative and int(day) != NO_TIME:
            found = contract_of_cells(
                category, symbol, expiry, strike, option_type, day=ist_date(int(day)), aliases=context.aliases
            )
        return found or unnamed(" ".join(filter(None, (kind, symbol, expiry, strike, option_type))))

    return coded(joined, name)


def _day_in_name(stem: str) -> int:
    """IST midnight of the day that a file's name carries, ns UTC."""
    match = _DAY_IN_NAME.match(stem)
    try:
        day = date(int(match[3]), int(match[2]), int(match[1])) if match else None
    except ValueError:
        day = None
    if day is None:
        raise SchemaFault(
            f"{stem}: the rows of this bhavcopy carry no day; name the file as NSE does, like fo14112025.csv."
        )
    return (day - date(1970, 1, 1)).days * 86_400_000_000_000 - IST_OFFSET_NS


def _read_unified(table: pa.Table, context: Context) -> Batch:
    """Read the unified file (UDiFF): shares of NSE, derivatives of NSE and BSE, by the row's own kind."""
    contracts = _read_contracts(_UDIFF)(table, context)
    is_share = is_one_of(table["FinInstrmTp"], ["STK"])
    is_nse = is_one_of(table["Src"], ["NSE"])
    is_ours = np.where(is_share, is_nse, is_nse | is_one_of(table["Sgmt"], ["FO"]))
    names, share_codes = coded(
        table["TckrSymb"], lambda symbol: price_key(symbol, context.aliases, may_be_index=False)
    )
    marked = contracts.marked.copy()
    of_series = is_one_of(table["SctySrs"], _SERIES)
    marked[is_share] = np.where(of_series, Defect.NONE, Defect.OTHER_SERIES)[is_share]
    marked[~is_ours] = Defect.OTHER_MARKET
    return Batch(
        [*contracts.keys, *names],
        np.where(is_share, share_codes + len(contracts.keys), contracts.codes),
        contracts.ts,
        contracts.prices,
        np.where(is_share, units(table, "TtlTradgVol"), contracts.volume),
        marked,
        np.where(is_share, _prev_close(table), no_prices(table.num_rows)),
    )


def _prev_close(table: pa.Table) -> NDArray[np.int64]:
    known = "PrvsClsgPric" in table.column_names
    return prices(table["PrvsClsgPric"]) if known else no_prices(table.num_rows)


def _needed(columns: _Contracts) -> tuple[str, ...]:
    named = (columns.kind, columns.symbol, columns.expiry, columns.strike, columns.option_type, columns.day,
             columns.volume, columns.lot)  # fmt: skip
    return (*(name for name in named if name), *columns.prices)


LAYOUTS: Final[tuple[tuple[str, tuple[str, ...], Callable[[pa.Table, Context], Batch]], ...]] = (
    ("udiff", (*_needed(_UDIFF), "SctySrs", "Src", "Sgmt"), _read_unified),
    ("fo_classic", _needed(_FO_CLASSIC), _read_contracts(_FO_CLASSIC)),
    ("fo_options", _needed(_OPTIONS), _read_contracts(_OPTIONS)),
    ("fo_futures", _needed(_FUTURES), _read_contracts(_FUTURES)),
    (
        "bhavcopy",
        ("SYMBOL", "SERIES", *_OHLC_PRICE),
        _read_shares(_Shares("DATE1", _OHLC_PRICE, "PREV_CLOSE", "TTL_TRD_QNTY")),
    ),
    (
        "equity_classic",
        ("SYMBOL", "SERIES", *_OHLC, "TOTTRDQTY", "TIMESTAMP"),
        _read_shares(_Shares("TIMESTAMP", _OHLC, "PREVCLOSE", "TOTTRDQTY")),
    ),
)
"""Name, columns and reader of each format; where one's columns include another's, it stands first."""
