"""Where what is held of a super order and what would close it differ."""

from dataclasses import dataclass, replace

from adapters.brokers.dhan.facts import Books, Guard, has_exits, is_leaving, rests, standing_of
from adapters.brokers.dhan.holding import beyond_books, to_guard
from adapters.brokers.dhan.model import LegName, SuperOrderRow


@dataclass(frozen=True, slots=True)
class Gap:
    """What of a super order is not covered as it should be.

    Attributes
    ----------
    naked, excess : int
        Units that are held under no live stop, and units that its exits would sell beyond what is held.
    is_leaving : bool
        A way out is at the exchange for the naked units: they are naked only if it does not fill.
    what : str
        Tells one gap from the next: a gap that becomes another one begins anew.
    guard : int
        Generation of the guard that is due.
    reason : str
        What is wrong where it is no lost stop.
    """

    order_id: str
    naked: int
    excess: int
    is_leaving: bool
    what: str
    guard: int
    reason: str = ""


def gap_of(parent: SuperOrderRow, books: Books, gone: int = 0, *, is_exit_asked: bool = False) -> Gap | None:
    """Compare what is held of a super order with what would close it; None where they agree.

    Parameters
    ----------
    gone : int
        Units of it that others closed (`closed_elsewhere`): exits of its own that rest would sell them again.
    is_exit_asked : bool
        It is to be closed: what rests at levels of its own may do so for the time that a way out takes only.

    Notes
    -----
    A stop in a state that nobody knows is none. An exit that is on its way (TRIGGERED, CLOSED) is no lost
    stop, since its sibling is cancelled by it, but it protects only as long as it takes to fill.
    """
    standing = standing_of(parent, books)
    held, guard = standing.open_quantity - gone, standing.guard
    guarded = sum(one.left for one in standing.guards)
    has_stop = rests(parent.leg(LegName.STOP))
    excess = guarded - to_guard(parent, books)
    head = Gap(parent.order.order_id, 0, 0, is_leaving=False, what="", guard=standing.next_guard)
    if gone and has_exits(parent):
        return replace(head, excess=gone, what="excess")
    if excess > 0:
        return replace(head, excess=excess, what="excess")
    if held <= 0:
        return None
    if has_stop:
        return _unfilled(parent, replace(head, naked=held)) if is_exit_asked else None
    if guarded < held:
        leaves = guard is None and is_leaving(parent)
        what = "leaving" if leaves else "naked"
        return replace(head, naked=held - guarded, is_leaving=leaves, what=what)
    if guard is None or (guard.is_stop and not is_beyond(parent, guard)):
        return None
    what = f"{guard.row.order_id}|{guard.row.price_paise}"
    return replace(head, naked=held, is_leaving=True, what=what)


def with_unheard(gap: Gap, parent: SuperOrderRow, books: Books) -> Gap:
    """Say with a gap that the position holds more than our books know, which may be of this very order."""
    beyond = beyond_books(parent, books) or 0
    if beyond <= 0 or gap.excess or gap.reason:
        return gap
    return replace(gap, reason=f"no live stop, and {beyond} units more are held than the books know")


def _unfilled(parent: SuperOrderRow, gap: Gap) -> Gap:
    """Say that an order which is to be closed stands; with each move of its exits the time begins anew."""
    levels = ",".join(str(leg.price_paise) for leg in parent.legs)
    return replace(gap, is_leaving=True, what=f"exit|{levels}", reason="the way out has not filled")


def is_beyond(parent: SuperOrderRow, guard: Guard) -> bool:
    """Whether the price is at or beyond the trigger of a guard that still rests."""
    last, trigger_paise = parent.last_price_paise, guard.row.trigger_paise
    return last > 0 < trigger_paise and parent.order.side.sign * (last - trigger_paise) <= 0
