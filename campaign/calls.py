"""Whether a call says what its intent says: judged by the bytes that leave, and by the outbox."""

from collections.abc import Iterable, Mapping
from typing import Any

from campaign.disk import StoredIntent
from propdesk.model.enums import Side
from propdesk.model.live import IntentState
from propdesk.model.messages import IntentKind, OrderIntent

_NEVER_SENT = (IntentState.PREPARED, IntentState.WITHDRAWN, IntentState.BLOCKED)
_WAYS_OUT = (IntentKind.EXIT, IntentKind.NEUTRALISE)
_LEGS: Mapping[tuple[str, str], tuple[IntentKind, ...]] = {
    ("PUT", "STOP_LOSS_LEG"): (IntentKind.MODIFY_STOP, IntentKind.EMERGENCY_STOP, *_WAYS_OUT),
    ("PUT", "TARGET_LEG"): (IntentKind.MODIFY_TARGET, *_WAYS_OUT),
}
"""Which intents may move a leg."""


def _paise(rupees: object) -> int:
    return round(float(str(rupees or 0)) * 100)


def entry_differences(intent: OrderIntent, body: Mapping[str, Any]) -> list[str]:
    """Compare the bytes of a super order with its intent; a market entry names no price to compare."""
    is_buy = intent.side is Side.BUY
    price = intent.price_high_paise if is_buy else intent.price_low_paise
    asked = {
        "transactionType": (body.get("transactionType"), intent.side.value),
        "quantity": (body.get("quantity"), intent.quantity),
        "stopLossPrice": (_paise(body.get("stopLossPrice")), intent.stop_paise or 0),
        "targetPrice": (_paise(body.get("targetPrice")), intent.target_paise or 0),
    }
    if price is not None:
        asked["price"] = (_paise(body.get("price")), price)
    return [
        f"{name} is {sent}, asked was {wanted}" for name, (sent, wanted) in asked.items() if sent != wanted
    ]


def leg_differences(
    name: str, method: str, body: Mapping[str, Any], rows: Iterable[StoredIntent]
) -> list[str]:
    """Compare a change of a super order's leg with what was claimed of that order.

    Parameters
    ----------
    name : str
        Correlation id of the order.
    rows : iterable of StoredIntent
        The outbox.
    """
    leg = str(body.get("legName", ""))
    kinds = _LEGS.get((method, leg))
    if kinds is None:
        return []
    sent = [
        row.intent
        for row in rows
        if row.intent.correlation_id == name and row.intent.kind in kinds and row.state not in _NEVER_SENT
    ]
    if any(intent.kind in _WAYS_OUT for intent in sent):
        return []  # at a price of the moment
    is_stop = leg == "STOP_LOSS_LEG"
    price = _paise(body.get("stopLossPrice" if is_stop else "targetPrice"))
    wanted = {intent.stop_paise if is_stop else intent.target_paise for intent in sent}
    return [] if price in wanted else [f"{leg} goes to {price}, asked was {sorted(wanted, key=str)}"]
