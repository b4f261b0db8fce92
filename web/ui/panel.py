"""A part of a page that reads, draws, and says when it cannot: loading, empty, failed, out of date."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

import psycopg
from nicegui import ui

from adapters.db.engine import DatabaseUnreachable
from adapters.log import get_logger
from propdesk.core.errors import DataFault
from web.api.problems import Problem
from web.ui import formats
from web.ui.login import login_address
from web.ui.visit import SessionOver, Visit

LIVE_LOOK_S: Final = 0.2
"""How often a live panel looks whether the bell rang; after a silence a fill is shown within that and one
reading."""
SPACED_S: Final = 1.0
"""Time between two readings of a panel while the bell rings without an end: the daemon trades beside it."""
EVERY_S: Final = 15.0
"""A panel reads anew so often even if nothing rings."""
_STEADY: Final = object()


class Panel:
    """Read in the background and draw what was read.

    Parameters
    ----------
    visit : Visit
    read : callable
        Gives the value; raises what `Visit.read` raises.
    draw : callable
        Draws it within the panel; called again only when the value has changed.
    is_live : bool
        Read anew as soon as the daemon tells something, and every `EVERY_S`; else once.
    """

    def __init__(
        self,
        visit: Visit,
        read: Callable[[], Awaitable[Any]],
        draw: Callable[[Any], None],
        *,
        is_live: bool = False,
    ) -> None:
        self._visit, self._read_value, self._draw = visit, read, draw
        self._value: Any = _STEADY
        self._read_at = self._shown_at = visit.house.parts.now()
        self._now = visit.house.parts.now
        self._ring = visit.house.bell.ring
        self._is_reading = False
        with ui.element("section").classes("panel").props('aria-live="polite"'):
            self._fault = ui.element("div")
            self._body = ui.element("div").classes("panel-body")
        with self._body:
            ui.label("Loading …").classes("hint").props('role="status"')
        ui.timer(0, self.refresh, once=True)
        if is_live:
            ui.timer(LIVE_LOOK_S, self._look, immediate=False)

    async def _look(self) -> None:
        bell = self._visit.house.bell
        age_s = (self._visit.house.parts.now() - self._read_at).total_seconds()
        if age_s >= (EVERY_S if self._ring is bell.ring else SPACED_S):
            await self.refresh()

    async def refresh(self) -> None:
        """Read anew; what was drawn stays until something else is there to be drawn."""
        if self._is_reading:
            return
        self._is_reading = True
        self._ring = self._visit.house.bell.ring  # before the rows are read, so that no ring falls between
        try:
            # When it was asked, not when it came: what changed in between is not in it.
            asked_at = self._now()
            value = await self._read_value()
            self._show(value, asked_at)
        except SessionOver:
            ui.navigate.to(login_address(self._visit.address))
        except (Problem, DataFault) as error:
            self._fail(getattr(error, "detail", "") or str(error))
        except (DatabaseUnreachable, psycopg.OperationalError) as error:
            get_logger().warning("database_away", error=str(error))
            self._fail("The database does not answer now.")
        except Exception:  # whatever it was: a panel that stays as it is would pass for the present
            get_logger().exception("panel_failed")
            self._fail("Something broke here; the log of the dashboard says what.")
        finally:
            self._is_reading = False
            self._read_at = self._now()

    def _show(self, value: Any, asked_at: datetime) -> None:
        if value != self._value:
            self._value = _STEADY  # half a drawing is none, and is drawn anew with the next look
            self._body.clear()
            with self._body:
                self._draw(value)
            self._value = value
        self._shown_at = asked_at
        self._fault.clear()

    def _fail(self, sentence: str) -> None:
        self._fault.clear()
        with self._fault, ui.element("div").classes("box fault").props('role="alert"'):
            ui.label(sentence[:1].upper() + sentence[1:])
            if self._value is not _STEADY:
                age = formats.age((self._now() - self._shown_at).total_seconds())
                ui.label(f"What is shown below was read at {formats.moment(self._shown_at)}, {age} ago.")
        if self._value is _STEADY:
            self._body.clear()
