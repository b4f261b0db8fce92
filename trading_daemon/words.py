"""Decision codes in words."""

from types import MappingProxyType
from typing import Final

from propdesk.model.messages import DecisionCode

EXPLANATIONS: Final = MappingProxyType(
    {
        DecisionCode.TRADED: "taken: orders were placed",
        DecisionCode.TRADED_REVERSE: "only a reverse rule matched: the opposite trade was placed",
        DecisionCode.SHADOW_REVERSE: "only a reverse rule matched: the opposite trade is recorded only",
        DecisionCode.PENDING_ENTRY: "kept in the pending-entry book; a later decision is its last word",
        DecisionCode.NOT_READY: "pre-market had not finished, so nothing is traded",
        DecisionCode.KILL_SWITCH: "a kill switch blocks entries",
        DecisionCode.OUT_OF_HOURS: "outside market hours",
        DecisionCode.ENTRY_CUTOFF: "too late in the session for a new entry",
        DecisionCode.STALE: "handled too long after it was received",
        DecisionCode.DUPLICATE: "the same advisor had said the same before",
        DecisionCode.UNKNOWN_SYMBOL: "no instrument of that name is listed",
        DecisionCode.EXPIRED: "the contract has expired",
        DecisionCode.AMBIGUOUS: "several contracts fit the words",
        DecisionCode.NOT_YET_LISTED: "the contract is not listed yet",
        DecisionCode.MULTI_LEG_UNSUPPORTED: "one leg of an idea with several; never traded naked",
        DecisionCode.NO_PRICE: "there is no price of the instrument",
        DecisionCode.PRICE_STALE: "the newest price is too old",
        DecisionCode.PRICE_DRIFT: "the price has moved too far from the entry",
        DecisionCode.THROUGH_LEVEL: "the price has passed the target or the stop already",
        DecisionCode.UNSHORTABLE: "shares cannot be sold short beyond the day",
        DecisionCode.TRADE_FOR_TRADE: "the series is settled trade for trade: no intraday trade",
        DecisionCode.EXPIRY_TOO_NEAR: "the contract is too near its expiry",
        DecisionCode.NO_MATCH: "no rule speaks of such signals",
        DecisionCode.RULE_FAILED: "the rule for such signals does not pass its gates",
        DecisionCode.REVERSE_NO_STOP: "a reverse trade needs the advisor's target as its stop: there is none",
        DecisionCode.NO_STOP: "no stop was given and none can be derived",
        DecisionCode.UNAFFORDABLE: "one lot costs more than the capital for it",
        DecisionCode.SIZE_ZERO: "the risk allowed buys not even one lot",
        DecisionCode.ILLIQUID: "the spread is too wide",
        DecisionCode.RISK_LIMIT: "a risk limit refuses it",
        DecisionCode.NO_BUDGET: "the corpus of its category is in use",
    }
)


def explain_code(code: str) -> str:
    """Say what a decision code means; an unknown one is returned as it is."""
    return EXPLANATIONS[DecisionCode(code)] if code in DecisionCode.__members__ else code
