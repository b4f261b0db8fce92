"""Names of the boundaries of the order path: the crash points of docs/reliability.md."""

from collections.abc import Iterable

from propdesk.engine.batch import Batch
from propdesk.model.enums import KillLevel
from propdesk.model.live import IntentState
from propdesk.model.messages import BrokerUpdateKind, IntentKind, OrderIntent

POINTS = {
    "C1": "a document is read, before its row",
    "C2": "row and resume token are stored, before the decider has it",
    "C3": "within the transaction of decision, group and intents",
    "C4": "intents are committed, before the claim",
    "C5": "an entry is claimed, before a byte leaves",
    "C6": "its bytes have left, no answer",
    "C7": "the broker has accepted, before that is recorded",
    "C8": "the broker has refused, before that is recorded",
    "C9": "between two orders of a group",
    "C10": "a fill is known, before it is booked",
    "C11": "a part of an entry has filled",
    "C12": "a target was hit, before the siblings' stops are stored",
    "C13": "a stop is to be moved: before the call, after it",
    "C14": "of two siblings one stop is moved",
    "C15": "both exits have filled",
    "C16": "a follow-up, before and after its commit",
    "C17": "a kill level is raised, before its commit",
    "C18": "the level is committed, closing is under way",
    "C20": "an exit is sent, before that is recorded",
    "C22": "a token is made, before it is kept",
    "C23": "the process stands still between claim and call, another one leads",
}
"""Crash points that this campaign reaches. C19, C21 and C24 are not on its path (docs/reliability.md)."""

_FILLS = (
    BrokerUpdateKind.ENTRY_FILLED,
    BrokerUpdateKind.TARGET_FILLED,
    BrokerUpdateKind.STOP_FILLED,
    BrokerUpdateKind.EXIT_FILLED,
)


def of_batch(batch: Batch) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the boundaries before and after the commit of a journal row, of what is in it."""
    before, after = [], []
    kinds = {intent.kind for intent in batch.intents}
    facts = {update.kind for update in batch.updates}
    if IntentKind.PLACE in kinds:
        before.append("C3")
        after.append("C4")
    if facts & set(_FILLS):
        before.append("C10")
    if _is_partial(batch):
        before.append("C11")
        after.append("C11")
    if BrokerUpdateKind.TARGET_FILLED in facts:
        before.append("C12")
    if any(order.oversold_units for live in batch.groups for order in live.orders):
        before.append("C15")
    if IntentKind.MODIFY_STOP in kinds:
        after.append("C13")
    if b"FollowupReceived" in batch.events:
        before.append("C16")
        after.append("C16")
    if any(change.is_open for change in batch.levels):
        before.append("C17")
    if any(change.is_open and change.level is KillLevel.LIQUIDATING for change in batch.levels):
        after.append("C18")
    return tuple(before), tuple(after)


def _is_partial(batch: Batch) -> bool:
    ordered = {order.correlation_id: order.quantity for live in batch.groups for order in live.orders}
    return any(
        update.kind is BrokerUpdateKind.ENTRY_FILLED
        and update.quantity < ordered.get(update.correlation_id, 0)
        for update in batch.updates
    )


def of_claim(intent: OrderIntent, claimed: Iterable[OrderIntent]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the boundaries before and after a claim; ``claimed`` are those of before."""
    siblings = [one for one in claimed if (one.group_id, one.kind) == (intent.group_id, intent.kind)]
    if intent.kind is IntentKind.PLACE:
        return (("C4", "C9") if siblings else ("C4",)), ("C5", "C23")
    if intent.kind is IntentKind.MODIFY_STOP:
        return (("C13", "C14") if siblings else ("C13",)), ("C13",)
    if intent.kind is IntentKind.EXIT:
        return (("C18",) if siblings else ()), ("C18",)
    return (), ()


def of_intent(intent: OrderIntent, state: IntentState) -> tuple[str, ...]:
    """Name the boundary at which the answer to a call is known and not recorded."""
    if intent.kind is IntentKind.PLACE:
        return ("C8",) if state is IntentState.REJECTED else ("C7",)
    if intent.kind is IntentKind.EXIT:
        return ("C20",)
    return ("C13",) if intent.kind is IntentKind.MODIFY_STOP else ()


def of_call(method: str, path: str, *, status: int | None = None) -> tuple[str, ...]:
    """Name the boundary of a call to the broker: its bytes have left, or it was carried out."""
    if path.endswith("/app/generateAccessToken") or path.endswith("/RenewToken"):
        return () if status is None else ("C22",)
    if method == "POST" and path.endswith("/super/orders"):
        if status is None:
            return ("C6",)
        return ("C7",) if status < 400 else ("C8",)
    if method == "PUT" and "/super/orders/" in path:
        return () if status is None else ("C13",)
    return ()
