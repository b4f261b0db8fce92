"""Messages: what happened, and whom it was told to."""

from typing import Final

from propdesk.model.trade_event import Severity
from propdesk.model.user import UserRole
from web.ui.frame import PageSpec
from web.ui.grid import GridSpec, grid
from web.ui.visit import Visit
from web.ui.widgets import heading

_STATES: Final = ("WAITING", "SENDING", "SENT", "PASSED", "DEAD")


async def build(visit: Visit) -> None:
    """Draw the page."""
    heading("Events", "What happened, the newest first; docs/notifications.md says what each kind means.")
    columns: tuple[str, ...] = ("event_id", "event_ns", "severity", "kind", "message", "payload", "is_sent")
    choices = {"severity": list(Severity)}
    grid(visit, GridSpec("trade-events", columns, choices=choices, sort="-event_id"))
    if not visit.may(UserRole.TRADER):
        return
    hint = "Each event for each recipient; `propdesk notify dead retry` sends again what was given up."
    heading("Messages to people", hint)
    columns = ("event_id", "recipient", "state", "channel", "attempts", "changed_ns", "due_ns", "reason")
    grid(visit, GridSpec("notifications", columns, choices={"state": _STATES}, is_small=True))


PAGES: Final = (PageSpec("/messages", "Events and messages", build, menu="Messages"),)
