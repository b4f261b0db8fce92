"""What of our orders is still held: the account's positions and other people's fills against our books."""

from collections.abc import Iterable, Iterator

from adapters.brokers.dhan.doubt import ids_of
from adapters.brokers.dhan.facts import (
    Books,
    Filled,
    age,
    has_exits,
    is_leaving,
    oversold_trades,
    rests,
    standing_of,
    surplus,
)
from adapters.brokers.dhan.model import LegName, OrderRow, PositionRow, SuperOrderRow, TradeRow
from propdesk.core.errors import Retryable
from propdesk.core.ids import is_ours, split_guard_id
from propdesk.model.enums import Side

Security = tuple[str, str, str]
"""Key of a position: segment, security id, product."""

_EXITS = (LegName.TARGET, LegName.STOP)


def security_of(row: OrderRow | TradeRow | PositionRow) -> Security:
    """Key of the position that a row is of."""
    return row.exchange_segment, row.security_id, row.product


def held_of(parent: SuperOrderRow, books: Books) -> int | None:
    """Units of a super order that the account's position still has room for.

    The position is one number for all our orders in a security, long and short: what it falls short of
    their sum was closed by somebody else, and is taken off them, off each its share. None where the
    positions were not read or have no row of the security, which proves nothing: flat ones stay listed.
    """
    key, side = security_of(parent.order), parent.order.side
    short = _shortfall(key, side, books)
    if short is None:
        return None
    missing = _missing(short, [row for row in _ours_in(key, books) if row.order.side is side], books)
    return standing_of(parent, books).open_quantity - missing.get(parent.order.order_id, 0)


def _missing(short: int, ours: list[SuperOrderRow], books: Books) -> dict[str, int]:
    """Share out what the position falls short of orders of one side, by order id.

    First goes what others are known to have closed. The rest nobody can tell: it goes where it takes no
    live guard away, and to orders with exits of their own last, since those would sell it all the same.
    """
    gone, repeats = closed_elsewhere(books), _repeats(books)
    standings = {row.order.order_id: standing_of(row, books) for row in ours}
    missing = {name: gone[name].quantity for name in standings if name in gone}
    short = max(0, short - sum(missing.values()))
    in_order = sorted(
        ours, key=lambda row: (not is_leaving(row), row.order.order_id not in repeats, age(row))
    )
    bare = [row for row in in_order if not has_exits(row)]
    for rows, keeps_guards in ((bare, True), (bare, False), (in_order, False)):
        for name in (row.order.order_id for row in rows):
            guarded = sum(guard.left for guard in standings[name].guards) if keeps_guards else 0
            room = standings[name].open_quantity - missing.get(name, 0) - guarded
            units = max(0, min(room, short))
            missing[name] = missing.get(name, 0) + units
            short -= units
    return missing


def to_guard(parent: SuperOrderRow, books: Books) -> int:
    """Units that guards of a super order may sell: none beside a stop of its own, else what is held."""
    if rests(parent.leg(LegName.STOP)):
        return 0
    held = held_of(parent, books)
    return standing_of(parent, books).open_quantity if held is None else held


def _shortfall(key: Security, side: Side, books: Books) -> int | None:
    """Units that the position falls short of what our books expect on one side; None = nobody knows."""
    nets = [row.net_quantity for row in books.positions or () if security_of(row) == key]
    if not nets:
        return None
    expected = sum(
        row.order.side.sign * standing_of(row, books).open_quantity for row in _ours_in(key, books)
    )
    return max(0, side.sign * (expected - sum(nets)))


def beyond_books(parent: SuperOrderRow, books: Books) -> int | None:
    """Units that the position holds beyond what our books expect on an order's side; None = nobody knows.

    What others are known to have closed is not expected any more; less than nothing: it falls short.
    """
    key, side = security_of(parent.order), parent.order.side
    nets = [row.net_quantity for row in books.positions or () if security_of(row) == key]
    if not nets:
        return None
    gone = closed_elsewhere(books)
    expected = sum(
        row.order.side.sign * (standing_of(row, books).open_quantity - _units(gone.get(row.order.order_id)))
        for row in _ours_in(key, books)
    )
    return side.sign * (sum(nets) - expected)


def _units(filled: Filled | None) -> int:
    return 0 if filled is None else filled.quantity


def is_rest_over(parent: SuperOrderRow, books: Books) -> bool:
    """Whether it is proved that the rest of a carried entry did not fill on the day of that entry.

    The daemon may have been down when it filled, and then it is held without a stop. So the position must
    hold nothing that our books do not expect, and where the trade history does not show the entry it must
    hold no less either: something else might then hide the rest.
    """
    beyond = beyond_books(parent, books)
    if beyond is None:
        return False
    return beyond == 0 or (beyond < 0 and parent.order.correlation_id in books.bought)


def _ours_in(key: Security, books: Books) -> list[SuperOrderRow]:
    return [
        row for row in books.supers if security_of(row.order) == key and is_ours(row.order.correlation_id)
    ]


# ---------------------------------------------------------- closed elsewhere


def closed_elsewhere(books: Books) -> dict[str, Filled]:
    """Say what of our orders others closed (a person, the broker at its square-off), by order id.

    It takes two witnesses: the position has no room for it any more, and since our entry something that is
    no exit of it has filled against it (`_against`). One of them alone proves nothing, since positions may be
    older than trades, and a person's fills may be of a position of that person's own.
    """
    if not books.positions:
        return {}
    strange = _against(books)
    found: dict[str, Filled] = {}
    for key in dict.fromkeys(security_of(row.order) for row in books.supers):
        ours = _ours_in(key, books)
        fills = [trade for trade in strange if security_of(trade) == key]
        for side in Side:
            of_side = [row for row in ours if row.order.side is side]
            found |= _shared_out(of_side, fills, _shortfall(key, side, books) or 0, books)
    return found


def _shared_out(
    ours: Iterable[SuperOrderRow], fills: list[TradeRow], short: int, books: Books
) -> Iterator[tuple[str, Filled]]:
    """Share what others closed of one side of a position out: what repeats an order first, then by age."""
    repeats, left = _repeats(books), {index: trade.quantity for index, trade in enumerate(fills)}
    for row in sorted(ours, key=lambda row: (row.order.order_id not in repeats, age(row))):
        standing = standing_of(row, books)
        closing, quantity = _closing_fills(row, fills, standing.entered_ns)
        closing.sort(key=lambda index: fills[index].at_ns or 0)
        taken = sum(fills[index].quantity - left[index] for index in closing)
        units = min(standing.open_quantity, short, quantity - taken)
        if units > 0:
            short -= units
            yield row.order.order_id, _take(units, closing, fills, left)


def _repeats(books: Books) -> set[str]:
    return {row.order.order_id for rows in surplus(books.supers).values() for row in rows}


def _take(units: int, closing: list[int], fills: list[TradeRow], left: dict[int, int]) -> Filled:
    """Take units off the earliest fills of which some are left: no fill closes two orders."""
    notional = at_ns = 0
    rest = units
    for index in closing:
        part = min(rest, left[index])
        if part:
            left[index] -= part
            rest -= part
            notional += part * fills[index].price_paise
            at_ns = max(at_ns, fills[index].at_ns or 0)
    return Filled(units - rest, notional, at_ns)


def _closing_fills(row: SuperOrderRow, fills: list[TradeRow], since_ns: int | None) -> tuple[list[int], int]:
    """Say which fills of others were against an order since its entry, and what they closed of it net."""
    later = [
        index for index, trade in enumerate(fills) if since_ns is not None and (trade.at_ns or 0) >= since_ns
    ]
    closing = [index for index in later if fills[index].side is not row.order.side]
    against = sum(fills[index].quantity for index in closing)
    return closing, against - sum(fills[index].quantity for index in later if index not in closing)


def strangers(books: Books) -> list[TradeRow]:
    """Give the fills of orders that are known not to be ours; a fill without a listed order may be ours."""
    ours = {
        order_id
        for row in books.supers
        if is_ours(row.order.correlation_id)
        for order_id in ids_of(row, books)
    }
    known = {row.order_id: row for row in books.orders}
    known |= {row.order.order_id: row.order for row in books.supers}
    return [
        trade
        for trade in books.trades
        if trade.order_id not in ours
        and (row := known.get(trade.order_id)) is not None
        and row.leg not in _EXITS  # of a super order, perhaps of ours
        and not is_ours(split_guard_id(row.correlation_id)[0])
    ]


def _against(books: Books) -> list[TradeRow]:
    """Give the fills that may have closed orders of ours: strangers', and what others of ours oversold."""
    ours = (row for row in books.supers if is_ours(row.order.correlation_id))
    return [*strangers(books), *(trade for row in ours for trade in oversold_trades(row, books))]


def may_be_closed_elsewhere(books: Books) -> bool:
    """Whether others have filled against something of ours that is open: then the positions tell."""
    return bool(in_question(books))


def in_question(books: Books) -> set[str]:
    """Order ids of what is open of ours and has had others fill against it."""
    fills = _against(books)
    if not fills:
        return set()
    return {
        row.order.order_id
        for row in books.supers
        if is_ours(row.order.correlation_id)
        and (standing := standing_of(row, books)).open_quantity
        and _closing_fills(row, _in(fills, row), standing.entered_ns)[1] > 0
    }


def require_known(books: Books) -> None:
    """Refuse to move an exit while others may have closed what it would sell and no positions tell.

    Raises
    ------
    Retryable
        Until the positions can be read; nothing was sent.
    """
    if books.positions is None and may_be_closed_elsewhere(books):
        raise Retryable("Others may have closed what is held, and the positions cannot be read.")


def _in(fills: list[TradeRow], row: SuperOrderRow) -> list[TradeRow]:
    return [trade for trade in fills if security_of(trade) == security_of(row.order)]
