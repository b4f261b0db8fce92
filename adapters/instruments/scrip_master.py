"""Instrument rows from the broker's scrip master: compact, detailed and reduced layouts, dated or not."""

import csv
import gzip
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO

import httpx

from adapters.instruments.sizes import ContractSizes, load_contract_sizes
from adapters.uploads.profiles import load_aliases
from propdesk.core.errors import SchemaFault
from propdesk.intake.fields import parse_date
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import Instrument, instrument_key

OPEN_END = date(9999, 12, 31)
"""valid_to of what is listed until further notice."""

_DOWNLOAD_BYTES_MAX = 300_000_000
_DOWNLOAD_TIMEOUT_S = 120.0
_DEFAULT_TICK_PAISE = 5
_CATEGORIES = {
    "EQUITY": Category.NSE_EQ,
    "FUTIDX": Category.INDEX_FUT,
    "FUTSTK": Category.STOCK_FUT,
    "OPTIDX": Category.INDEX_OPT,
    "OPTSTK": Category.STOCK_OPT,
}
_SHARE_TYPES = frozenset({"ES", "ETF", ""})
_SERIES_RANK = ("EQ", "BE", "BZ", "SM", "ST", "SZ")
"""Where one symbol is listed in several series, the first of these is the one meant."""

_SYMBOL_OF_CONTRACT = re.compile(r"(.+?)-[A-Za-z]{3}[0-9]{4}(?:-|\Z)")
_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_FORMATS = ("%d-%m-%Y", "%d/%m/%Y", "%d-%b-%Y")
_LAYOUTS: dict[str, dict[str, str]] = {
    "compact": {
        "exchange": "SEM_EXM_EXCH_ID",
        "segment": "SEM_SEGMENT",
        "security_id": "SEM_SMST_SECURITY_ID",
        "instrument": "SEM_INSTRUMENT_NAME",
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
        "trading_symbol": "tradingSymbol",
        "expiry": "expiryDate",
        "strike": "strikePrice",
        "option_type": "optionType",
    },
}
_OWN_COLUMNS = ("valid_from", "valid_to", "freeze_quantity", "has_derivatives")
"""What our own dated masters carry beside the broker's columns."""

_SEGMENTS = {("NSE", "E"): "NSE_EQ", ("NSE", "D"): "NSE_FNO", ("BSE", "D"): "BSE_FNO"}


@dataclass(frozen=True, slots=True)
class MasterFile:
    """What a master held.

    Attributes
    ----------
    layout : str
        compact, detailed or reduced.
    is_dated : bool
        Rows carry valid_from and valid_to of their own: the file is a history, not a snapshot.
    instruments : list of Instrument
        One per key and validity.
    skipped : dict of str to int
        Rows left out, by reason.
    """

    layout: str
    is_dated: bool
    instruments: list[Instrument]
    skipped: dict[str, int]


def read_scrip_master(source: str | Path, day: date, sizes: ContractSizes | None = None) -> MasterFile:
    """Read a scrip master.

    Parameters
    ----------
    source : str or Path
        CSV file, plain or gzip, or an http(s) address of one.
    day : date
        Day from which a snapshot's values hold.
    sizes : ContractSizes, optional
        Lots and freeze quantities for layouts that carry none.

    Returns
    -------
    MasterFile
        NSE shares and ETFs, NSE and BSE derivatives on indices and shares; everything else is counted as
        skipped.

    Raises
    ------
    SchemaFault
        If the source cannot be read, is of no known layout, or holds no usable row.
    """
    text = str(source)
    if text.startswith(("http://", "https://")):
        with tempfile.TemporaryDirectory() as folder:
            return _read_file(_download(text, Path(folder) / "master.csv"), text, day, sizes)
    return _read_file(Path(source), text, day, sizes)


def _read_file(path: Path, name: str, day: date, sizes: ContractSizes | None) -> MasterFile:
    try:
        with _open_text(path) as stream:
            reader = csv.DictReader(stream)
            layout = _layout_of(reader.fieldnames or [], name)
            is_dated = "valid_from" in (reader.fieldnames or [])
            skipped: Counter[str] = Counter()
            rows = list(_instruments(reader, _LAYOUTS[layout], day, sizes or load_contract_sizes(), skipped))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise SchemaFault(f"{name} is no readable scrip master ({error}): download it again.") from error
    if not rows:
        raise SchemaFault(f"{name} holds no instrument we trade: is it the right file?")
    return MasterFile(
        layout, is_dated, _one_series_each(_with_derivatives_flag(rows), skipped), dict(skipped)
    )


def _open_text(path: Path) -> IO[str]:
    with path.open("rb") as raw:
        is_gzip = raw.read(2) == b"\x1f\x8b"
    if is_gzip:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _download(address: str, path: Path) -> Path:
    size = 0
    try:
        with (
            httpx.stream("GET", address, timeout=_DOWNLOAD_TIMEOUT_S, follow_redirects=True) as response,
            path.open("wb") as out,
        ):
            response.raise_for_status()
            for block in response.iter_bytes():
                size += len(block)
                if size > _DOWNLOAD_BYTES_MAX:
                    raise SchemaFault(
                        f"{address} sends more than {_DOWNLOAD_BYTES_MAX:,} bytes: check the address."
                    )
                out.write(block)
    except httpx.HTTPError as error:
        raise SchemaFault(
            f"{address} cannot be downloaded ({error}): check the address and the network."
        ) from error
    return path


def _layout_of(header: Iterable[str], name: str) -> str:
    columns = set(header)
    for layout, places in _LAYOUTS.items():
        if set(places.values()) <= columns:
            return layout
    raise SchemaFault(
        f"{name} has none of the known scrip-master layouts (compact SEM_…, detailed EXCH_ID …, reduced "
        "exchangeSegment …): check the file."
    )


def _instruments(
    reader: Iterable[Mapping[str, str]],
    places: Mapping[str, str],
    day: date,
    sizes: ContractSizes,
    skipped: "Counter[str]",
) -> Iterator[Instrument]:
    aliases = load_aliases()
    for raw in reader:
        row = {name: (raw.get(column) or "").strip() for name, column in places.items()}
        row |= {name: (raw.get(name) or "").strip() for name in _OWN_COLUMNS}
        category = _CATEGORIES.get(row["instrument"])
        segment = row.get("exchange_segment") or _SEGMENTS.get(
            (row.get("exchange", ""), row.get("segment", "")), ""
        )
        wanted = "NSE_EQ" if category is Category.NSE_EQ else "NSE_FNO"
        if category is None or segment not in (wanted, "BSE_FNO" if wanted == "NSE_FNO" else wanted):
            skipped[f"{row['instrument'] or 'no instrument'} of another market"] += 1
        elif category is Category.NSE_EQ:
            if (share := _share(row, day, skipped)) is not None:
                yield share
        elif (contract := _contract(row, category, segment, day, sizes, skipped)) is not None:
            underlying = aliases.canonical(contract.underlying, day)
            yield replace(
                contract,
                underlying=underlying,
                instrument_key=instrument_key(
                    category, underlying, contract.expiry, contract.strike_paise, contract.option_type
                ),
            )


def _share(row: Mapping[str, str], day: date, skipped: "Counter[str]") -> Instrument | None:
    symbol = row["trading_symbol"].upper()
    if row.get("share_type", "") not in _SHARE_TYPES or not symbol or not row["security_id"]:
        skipped["security other than shares and ETFs"] += 1
        return None
    validity = _validity(row, day, OPEN_END)
    if validity is None:
        skipped["unreadable validity"] += 1
        return None
    return Instrument(
        instrument_key=instrument_key(Category.NSE_EQ, symbol),
        category=Category.NSE_EQ,
        underlying=symbol,
        expiry=None,
        strike_paise=None,
        option_type=None,
        exchange_segment="NSE_EQ",
        security_id=row["security_id"],
        lot_size=_whole(row.get("lot", "")) or 1,
        tick_paise=_whole(row.get("tick", "")) or _DEFAULT_TICK_PAISE,
        freeze_quantity=_whole(row["freeze_quantity"]) or 0,
        series=row.get("series") or "EQ",
        has_derivatives=row["has_derivatives"] == "1",
        valid_from=validity[0],
        valid_to=validity[1],
    )


def _contract(
    row: Mapping[str, str],
    category: Category,
    segment: str,
    day: date,
    sizes: ContractSizes,
    skipped: "Counter[str]",
) -> Instrument | None:
    expiry = _day(row["expiry"])
    underlying = _underlying(row)
    strike, option_type = _strike(row["strike"]), OptionType.__members__.get(row["option_type"])
    if not category.is_option:
        strike, option_type = None, None
    if expiry is None or not underlying or (category.is_option and (strike is None or option_type is None)):
        skipped["contract without readable expiry, underlying, strike or type"] += 1
        return None
    lot = _whole(row.get("lot", "")) or sizes.lot_size(underlying, expiry)
    validity = _validity(row, day, expiry)
    if lot is None or validity is None:
        skipped["contract without lot size" if lot is None else "unreadable validity"] += 1
        return None
    return Instrument(
        instrument_key=instrument_key(category, underlying, expiry, strike, option_type),
        category=category,
        underlying=underlying,
        expiry=expiry,
        strike_paise=strike,
        option_type=option_type,
        exchange_segment=segment,
        security_id=row["security_id"],
        lot_size=lot,
        tick_paise=_whole(row.get("tick", "")) or _DEFAULT_TICK_PAISE,
        freeze_quantity=_whole(row["freeze_quantity"]) or sizes.freeze_quantity(underlying, validity[0]),
        series=row.get("series") or "XX",
        has_derivatives=False,
        valid_from=validity[0],
        valid_to=min(validity[1], expiry),
    )


def _underlying(row: Mapping[str, str]) -> str:
    """Name the underlying: its own column where it holds a symbol, else the trading symbol's head."""
    found = _SYMBOL_OF_CONTRACT.match(row["trading_symbol"])
    named = row.get("underlying", "")
    return (found[1] if found else named).upper().strip()


def _validity(row: Mapping[str, str], day: date, end: date) -> tuple[date, date] | None:
    if not row["valid_from"]:
        return (day, end)
    first = parse_date(row["valid_from"])
    last = parse_date(row["valid_to"]) if row["valid_to"] else end
    return None if first is None or last is None or last < first else (first, last)


def _day(text: str) -> date | None:
    found = _ISO_DAY.match(text)
    return parse_date(found[0]) if found else parse_date(text.split(" ")[0], _DATE_FORMATS)


def _strike(text: str) -> int | None:
    try:
        paise = Decimal(text) * 100
    except InvalidOperation:
        return None
    return int(paise) if paise.is_finite() and paise > 0 and paise == int(paise) else None


def _whole(text: str) -> int | None:
    """Read a positive number written 5, 5.0 or 5.0000; None for anything else."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return int(number) if number.is_finite() and number >= 1 and number == int(number) else None


def _with_derivatives_flag(rows: list[Instrument]) -> list[Instrument]:
    with_derivatives = {one.underlying for one in rows if one.category.is_stock_derivative}
    return [
        replace(one, has_derivatives=True)
        if one.category is Category.NSE_EQ and one.underlying in with_derivatives
        else one
        for one in rows
    ]


def _one_series_each(rows: list[Instrument], skipped: "Counter[str]") -> list[Instrument]:
    """Keep one row per key and start: of several series the one meant, of repeats the last."""
    best: dict[tuple[str, date], Instrument] = {}
    for one in rows:
        name = (one.instrument_key, one.valid_from)
        other = best.get(name)
        if other is not None:
            skipped["further series or repeat of one instrument"] += 1
            if _rank(other) < _rank(one):
                continue
        best[name] = one
    return list(best.values())


def _rank(one: Instrument) -> int:
    return _SERIES_RANK.index(one.series) if one.series in _SERIES_RANK else len(_SERIES_RANK)
