"""Word for people about the process itself, which no batch of the decider carries."""

import asyncio
from typing import Final

from adapters.db.live import connect
from adapters.db.repos.projections import write_notice
from adapters.log import get_logger, redact
from adapters.settings import Settings
from propdesk.model.event_text import plain
from propdesk.model.messages import Notify
from propdesk.model.trade_event import EVENTS, EventKind

TELL_S: Final = 5.0
"""Longest wait to leave word of a fault: a database that hangs must not hold up what follows."""


async def leave_word(settings: Settings, kind: EventKind, text: str, now_ns: int) -> None:
    """Leave word for people; one that cannot be left is logged and changes nothing.

    Parameters
    ----------
    settings : Settings
    kind : EventKind
    text : str
        One sentence, without secrets.
    now_ns : int
        Moment of the event, ns UTC.
    """
    notice = Notify(kind.value, EVENTS[kind].severity.value, text, now_ns)
    try:
        async with asyncio.timeout(TELL_S):
            connection = await connect(settings.database_url("daemon"), "propdesk-notices")
            async with connection:
                await write_notice(connection, settings.account_id, notice)
    except Exception as error:  # whatever it is: what the word is about matters more
        get_logger(account_id=settings.account_id).error(
            "people_not_told", event_kind=kind.value, error=str(error) or type(error).__name__
        )


def words_of(settings: Settings, fault: Exception) -> str:
    """Say what a fault says: people read it, and what a library puts into its error may hold a token."""
    return plain(str(redact(str(fault), settings.secret_values()))) or type(fault).__name__
