"""Our trades: every executed leg, and the movements of capital behind them."""

from typing import Final

from propdesk.model.enums import Category, ExitReason
from web.ui.frame import PageSpec
from web.ui.grid import ADVISOR_LINK, RULE_LINK, SIGNAL_LINK, GridSpec, grid
from web.ui.visit import Visit
from web.ui.widgets import heading

_LINKS: Final = {"signal_id": SIGNAL_LINK, "rule_text": RULE_LINK, "advisor_id": ADVISOR_LINK}
_LEGS: Final = (
    *(
        "signal_id",
        "trade_date",
        "instrument_key",
        "side",
        "is_reverse",
        "leg_number",
        "quantity",
        "entry_at",
    ),
    *(
        "entry_paise",
        "exit_at",
        "exit_paise",
        "exit_reason",
        "gross_pnl_paise",
        "charges_paise",
    ),
    *("net_pnl_paise", "advisor_id", "rule_text"),
)


async def build(visit: Visit) -> None:
    """Draw the page."""
    heading("Executed legs", "Each share of a trade group that filled; open ones have no exit.")
    choices = {
        "category": list(Category),
        "side": ("BUY", "SELL"),
        "exit_reason": list(ExitReason),
        "is_reverse": ("true", "false"),
        "is_closed": ("true", "false"),
    }
    grid(visit, GridSpec("executed-trades", _LEGS, _LINKS, choices=choices, sort="-entry_at"))
    hint = (
        "One per signal that was traded, with the plan it was entered under; Today has the stops that stand."
    )
    heading("Trade groups", hint)
    groups = ("signal_id", "opened_ns", "instrument_key", "side", "entry_type", "stop_paise", "targets_paise")
    more = ("targets_hit", "margin_paise", "planned_risk_paise", "is_closed", "net_pnl_paise", "rule_text")
    grid(visit, GridSpec("trade-groups", (*groups, *more), _LINKS, is_small=True))
    heading("Movements of capital", "What was set aside as margin and released, and each net result.")
    ledger = (
        "entry_ns",
        "kind",
        "category",
        "free_delta_paise",
        "deployed_delta_paise",
        "pnl_paise",
        "group_id",
    )
    grid(visit, GridSpec("corpus-ledger", ledger, is_small=True))


PAGES: Final = (PageSpec("/trades", "Trades", build, menu="Trades"),)
