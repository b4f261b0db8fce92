"""Instrument files recognised by their columns: broker masters, bhavcopies, lot tables."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from adapters.contract_rules import load_contract_rules
from adapters.contract_sizes import ContractSizes, load_contract_sizes
from adapters.instruments.exchange import BHAVCOPIES, Dated, lot_months, read_bhavcopy, read_lot_table
from adapters.instruments.reading import (
    UNREADABLE,
    Row,
    Tally,
    csv_reader,
    header_of,
    local_copy,
    open_text,
    rows_of,
    sha256_of,
)
from adapters.instruments.scrip_master import MASTER_LAYOUTS, read_master
from adapters.uploads.profiles import load_aliases
from propdesk.core.errors import SchemaFault
from propdesk.intake.history import Coverage
from propdesk.intake.instrument_file import InstrumentFile
from propdesk.model.instrument import Instrument

MASTER_SOURCE: Final = "dhan"
REDUCED_SOURCE: Final = "dhan_reduced"
"""A third party's extract of a master, without lots and ticks: what the exchange says outweighs it."""
FO_BHAVCOPY_SOURCE: Final = "nse_fo_bhavcopy"
EQUITY_BHAVCOPY_SOURCE: Final = "nse_equity_bhavcopy"
LOT_TABLE_SOURCE: Final = "nse_lot_table"

_COLUMNS: Final[dict[str, frozenset[str]]] = {
    **{name: frozenset(places.values()) for name, places in MASTER_LAYOUTS.items()},
    # A layout whose columns include another's stands before it.
    **{
        name: frozenset(
            column for field in BHAVCOPIES[name].__slots__ if (column := getattr(BHAVCOPIES[name], field))
        )
        for name in ("udiff", "fo_classic", "fo_options", "fo_futures", "equity_delivery", "equity_classic")
    },
    "lot_table": frozenset({"UNDERLYING", "SYMBOL"}),
}
LotTables: TypeAlias = Callable[[date], Mapping[tuple[str, date], int]]
"""Units per lot by underlying and month of expiry, as they hold on a day."""
SizesOn: TypeAlias = Callable[[date], ContractSizes]

_DAY_IN_NAME: Final = re.compile(r"(?:fo|op)([0-9]{2})([0-9]{2})([0-9]{4})", re.IGNORECASE)
_LOT_TABLE_EARLY_DAYS: Final = 31
"""A lot table is published up to a month before the month of its first column begins."""


def read_instrument_file(
    source: str | Path,
    day: date | None = None,
    *,
    today: date | None = None,
    lot_table_on: LotTables | None = None,
) -> InstrumentFile:
    """Read an instrument file, recognised by its columns.

    Parameters
    ----------
    source : str or Path
        CSV, plain, gzip or a zip of one file, or an http(s) address of one.
    day : date, optional
        Day of which the file speaks. A bhavcopy or lot table says so itself (content or file name); a master
        does not.
    today : date, optional
        Day of a master for which none is given.
    lot_table_on : callable, optional
        The exchange's lot table that holds on a day, for files that carry no lots; before
        ``config/contract_sizes.yaml``, which knows the indices only.

    Returns
    -------
    InstrumentFile
        Read row by row; the text of the file is never held.

    Raises
    ------
    SchemaFault
        If the source cannot be read, is of no known layout, speaks of another day than ``day``, or holds no
        usable row.
    """
    with local_copy(source) as path:
        name = Path(str(source)).name
        try:
            with open_text(path) as stream:
                reader = csv_reader(stream)
                header = header_of(reader, name)
                layout = _layout_of(header, name)
                tally = Tally()
                rows = rows_of(reader, header, tally, name)

                def sizes_on(when: date) -> ContractSizes:
                    table = {} if lot_table_on is None else lot_table_on(when)
                    return replace(load_contract_sizes(), table=table)

                if layout == "lot_table":
                    found = _read_lots(rows, header, day, tally, name)
                elif layout in BHAVCOPIES:
                    found = _read_traded(rows, layout, day or _day_in(name), sizes_on, tally, name)
                else:
                    found = _read_master(rows, layout, header, day or today, sizes_on, tally, name)
            digest = sha256_of(path)
        except UNREADABLE as error:
            raise SchemaFault(
                f"{name} is no readable instrument file ({error}): download it again."
            ) from error
    if not found.instruments and not found.lots:
        raise SchemaFault(f"{name} holds no instrument we trade: is it the right file?")
    return replace(found, sha256=digest)


def recognise(path: Path) -> str | None:
    """Name the layout of a local file by its columns; None if it cannot be told."""
    try:
        with open_text(path) as stream:
            return _layout_of(header_of(csv_reader(stream), path.name), path.name)
    except (*UNREADABLE, SchemaFault):
        return None


def _layout_of(header: list[str], name: str) -> str:
    columns = set(header)
    for layout, needed in _COLUMNS.items():
        if needed <= columns and (layout != "lot_table" or lot_months(header)):
            return layout
    raise SchemaFault(
        f"{name} has none of the known layouts (broker master SEM_… or EXCH_ID … or exchangeSegment …, NSE "
        "bhavcopy of shares or derivatives, NSE lot table): check the file."
    )


def _day_in(name: str) -> date | None:
    match = _DAY_IN_NAME.match(name)
    if match is None:
        return None
    try:
        return date(int(match[3]), int(match[2]), int(match[1]))
    except ValueError:
        return None


def _read_master(
    rows: Iterable[Row],
    layout: str,
    header: list[str],
    day: date | None,
    sizes_on: SizesOn,
    tally: Tally,
    name: str,
) -> InstrumentFile:
    is_dated = "valid_from" in header
    if day is None:
        raise SchemaFault(f"{name} does not say of which day it is: give --day.")
    found = read_master(rows, layout, day, sizes_on(day), load_aliases(), tally)
    source = REDUCED_SOURCE if layout == "reduced" else MASTER_SOURCE
    return _file(source, layout, day, Coverage.LISTED, found, tally, is_dated=is_dated)


def _read_traded(
    rows: Iterable[Row], layout: str, day: date | None, sizes_on: SizesOn, tally: Tally, name: str
) -> InstrumentFile:
    rules, aliases = load_contract_rules(), load_aliases()

    def tables_on(when: date) -> Dated:
        return Dated(when, sizes_on(when), rules, aliases)

    trade_day, found = read_bhavcopy(rows, layout, day, tables_on, tally, name)
    is_equity = bool(found) and not found[0][1].category.is_derivative
    source = EQUITY_BHAVCOPY_SOURCE if is_equity else FO_BHAVCOPY_SOURCE
    return _file(source, layout, trade_day, Coverage.TRADED, found, tally)


def _read_lots(
    rows: Iterable[Row], header: list[str], day: date | None, tally: Tally, name: str
) -> InstrumentFile:
    months = lot_months(header)
    first = min(months.values())
    end = (first + timedelta(days=31)).replace(day=1)
    if day is not None and not first - timedelta(days=_LOT_TABLE_EARLY_DAYS) <= day < end:
        raise SchemaFault(f"{name} is the lot table of {first:%B %Y}, not of {day}.")
    lots = read_lot_table(rows, months, load_aliases(), day or first, tally)
    return InstrumentFile(
        LOT_TABLE_SOURCE, "lot_table", day or first, False, Coverage.LISTED, [], lots, {}, tally.read,
        tally.taken, dict(tally.skipped), tally.rejected,
    )  # fmt: skip


def _file(
    source: str,
    layout: str,
    day: date,
    coverage: Coverage,
    found: list[tuple[int, Instrument]],
    tally: Tally,
    *,
    is_dated: bool = False,
) -> InstrumentFile:
    numbers = {one.instrument_key: number for number, one in found}
    instruments = [one for _, one in found]
    return InstrumentFile(
        source, layout, day, is_dated, coverage, instruments, [], numbers, tally.read,
        len(instruments), dict(tally.skipped), tally.rejected,
    )  # fmt: skip
