"""What can be traded and watched in the sandbox, by the broker's ids and by our price keys."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from adapters.contract_sizes import ContractSizes, load_contract_sizes
from propdesk.core.errors import DataFault
from propdesk.intake.freeze import with_freeze
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import Instrument

INDEX_IDS = {"NIFTY": "13", "BANKNIFTY": "25", "SENSEX": "51", "FINNIFTY": "27", "MIDCPNIFTY": "442"}
"""Security ids of the index levels in IDX_I."""

_KINDS = {
    Category.NSE_EQ: "EQUITY",
    Category.INDEX_FUT: "FUTIDX",
    Category.STOCK_FUT: "FUTSTK",
    Category.INDEX_OPT: "OPTIDX",
    Category.STOCK_OPT: "OPTSTK",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """One security; ``instrument`` is None for an index level."""

    price_key: str
    segment: str
    security_id: str
    symbol: str
    instrument: Instrument | None

    @property
    def kind(self) -> str:
        """Dhan's instrument word."""
        return "INDEX" if self.instrument is None else _KINDS[self.instrument.category]

    @property
    def tick_paise(self) -> int:
        """Tick size; 5 for an index level."""
        return 5 if self.instrument is None else self.instrument.tick_paise

    @property
    def lot_size(self) -> int:
        """Units per lot."""
        return 1 if self.instrument is None else self.instrument.lot_size


class Catalogue:
    """Securities by (segment, security id) and by price key.

    Raises
    ------
    DataFault
        If two securities share an id.
    """

    def __init__(self, listings: Iterable[Listing]) -> None:
        self._by_id: dict[tuple[str, str], Listing] = {}
        self._by_key: dict[str, Listing] = {}
        for one in listings:
            place = (one.segment, one.security_id)
            if place in self._by_id:
                raise DataFault(f"{one.price_key} and {self._by_id[place].price_key} share the id {place}.")
            self._by_id[place] = one
            self._by_key[one.price_key] = one

    def __iter__(self) -> Iterator[Listing]:
        return iter(self._by_id.values())

    def find(self, segment: str, security_id: str) -> Listing | None:
        """Look a security up by the broker's names."""
        return self._by_id.get((segment, security_id))

    def by_key(self, price_key: str) -> Listing | None:
        """Look a security up by our name."""
        return self._by_key.get(price_key)


def listing_of(instrument: Instrument) -> Listing:
    """List a tradable."""
    return Listing(
        instrument.instrument_key,
        instrument.exchange_segment,
        instrument.security_id,
        _symbol(instrument),
        instrument,
    )


def index_listing(underlying: str) -> Listing:
    """List an index level."""
    return Listing(
        f"INDEX:{underlying}", "IDX_I", INDEX_IDS.get(underlying, _number(underlying)), underlying, None
    )


def catalogue_of_keys(
    keys: Iterable[str],
    day: date,
    sizes: ContractSizes | None = None,
    *,
    master: Iterable[Instrument] = (),
) -> Catalogue:
    """List everything that has prices on a day; what no master names gets an id that is stable over days.

    Parameters
    ----------
    keys : iterable of str
        Price keys; a contract whose lot is not known is left out.
    day : date
        Day of the values.
    sizes : ContractSizes, optional
        Lots and freeze quantities of the indices.
    master : iterable of Instrument
        Security ids and sizes of the day.
    """
    known = sizes or load_contract_sizes()
    dated = with_freeze(master, known.freeze)
    listed = {one.instrument_key: one for one in dated if one.valid_from <= day <= one.valid_to}
    found = []
    for key in sorted(keys):
        head, _, rest = key.partition(":")
        if head == "INDEX":
            found.append(index_listing(rest))
        elif head in Category.__members__:
            instrument = listed.get(key) or _instrument(key, Category(head), rest.split(":"), day, known)
            if instrument is not None:
                found.append(listing_of(instrument))
    return Catalogue(found)


def _instrument(
    key: str, category: Category, parts: list[str], day: date, sizes: ContractSizes
) -> Instrument | None:
    expiry = date.fromisoformat(parts[1]) if len(parts) > 1 else None
    lot = 1 if expiry is None else sizes.lot_size(parts[0], expiry, day)
    if lot is None:
        return None
    return Instrument(
        instrument_key=key,
        category=category,
        underlying=parts[0],
        expiry=expiry,
        strike_paise=int(parts[2]) if len(parts) > 3 else None,
        option_type=OptionType(parts[3]) if len(parts) > 3 else None,
        exchange_segment="NSE_EQ" if category is Category.NSE_EQ else "NSE_FNO",
        security_id=_number(key),
        lot_size=lot,
        tick_paise=5,
        freeze_quantity=0 if expiry is None else sizes.freeze_quantity(parts[0], day),
        series="EQ" if expiry is None else "XX",
        has_derivatives=False,
        valid_from=day,
        valid_to=expiry or date(9999, 12, 31),
    )


def _number(key: str) -> str:
    return str(100_000 + int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 2_000_000_000)


def _symbol(one: Instrument) -> str:
    if one.expiry is None:
        return one.underlying
    month = one.expiry.strftime("%b%Y")
    if one.option_type is None or one.strike_paise is None:
        return f"{one.underlying}-{month}-FUT"
    strike = f"{one.strike_paise / 100:g}"
    return f"{one.underlying}-{month}-{strike}-{one.option_type.value}"


_COLUMNS = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,SEM_TRADING_SYMBOL,"
    "SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,SEM_OPTION_TYPE,SEM_TICK_SIZE,"
    "SEM_EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,SM_SYMBOL_NAME"
)


def scrip_master_csv(catalogue: Catalogue) -> str:
    """Write the compact scrip master; ticks in paise, as on the wire."""
    lines = [_COLUMNS]
    for one in catalogue:
        own = one.instrument
        expiry = own.expiry if own else None
        fields = (
            "NSE",
            "I" if own is None else "E" if expiry is None else "D",
            one.security_id,
            one.kind,
            "0",
            one.symbol,
            f"{one.lot_size}.0",
            one.symbol,
            f"{expiry} 14:30:00" if expiry else "",
            f"{own.strike_paise / 100:.5f}" if own and own.strike_paise else "",
            own.option_type.value if own and own.option_type else "XX" if expiry else "",
            f"{one.tick_paise}.0000",
            "M" if expiry else "",
            "ES" if own is not None and expiry is None else one.kind,
            own.series if own else "X",
            own.underlying if own else one.symbol,
        )
        lines.append(",".join(fields))
    return "\n".join(lines) + "\n"
