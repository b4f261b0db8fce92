"""Asynchronous connections of the live process (psycopg, no pool: one connection per task)."""

from typing import Any, Final, TypeAlias

import psycopg

from adapters.db.engine import CONNECT_TIMEOUT_S, psycopg_dsn, unreachable

LiveConnection: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]

LIVE_STATEMENT_TIMEOUT_S: Final = 30
"""No statement of the order path may hang longer; the process ends instead and starts anew."""


async def connect(url: str, application_name: str) -> LiveConnection:
    """Open one connection in autocommit mode; transactions are always explicit blocks.

    Parameters
    ----------
    url : str
        ``postgresql+psycopg://...``
    application_name : str
        Shown in ``pg_stat_activity``, e.g. ``propdesk-decider``.

    Raises
    ------
    DatabaseUnreachable
        If the server does not answer.
    """
    try:
        return await psycopg.AsyncConnection.connect(
            psycopg_dsn(url),
            autocommit=True,
            application_name=application_name,
            connect_timeout=CONNECT_TIMEOUT_S,
            options=f"-c timezone=UTC -c statement_timeout={LIVE_STATEMENT_TIMEOUT_S * 1000}",
        )
    except psycopg.OperationalError as error:
        raise unreachable(
            str(psycopg.conninfo.conninfo_to_dict(psycopg_dsn(url)).get("host", "?")), error
        ) from None
