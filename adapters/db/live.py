"""Asynchronous connections of the live process (psycopg, no pool: one connection per task)."""

from typing import Any, Final, TypeAlias

import psycopg

from adapters.db.engine import CONNECT_TIMEOUT_S, psycopg_dsn, unreachable

LiveConnection: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]

LIVE_STATEMENT_TIMEOUT_S: Final = 30
"""No statement of the order path may hang longer; the process ends instead and starts anew."""


async def connect(url: str, application_name: str, *, outlives_power: bool = True) -> LiveConnection:
    """Open one connection in autocommit mode; transactions are always explicit blocks.

    Parameters
    ----------
    url : str
        ``postgresql+psycopg://...``
    application_name : str
        Shown in ``pg_stat_activity``, e.g. ``propdesk-decider``.
    outlives_power : bool
        Wait until a commit is on the disk. Without that a server that loses its power loses its last moments,
        of all such connections alike and in their order; nothing else does.

    Raises
    ------
    DatabaseUnreachable
        If the server does not answer.
    """
    options = f"-c timezone=UTC -c statement_timeout={LIVE_STATEMENT_TIMEOUT_S * 1000}"
    if not outlives_power:
        options += " -c synchronous_commit=off"
    try:
        return await psycopg.AsyncConnection.connect(
            psycopg_dsn(url),
            autocommit=True,
            application_name=application_name,
            connect_timeout=CONNECT_TIMEOUT_S,
            options=options,
        )
    except psycopg.OperationalError as error:
        raise unreachable(
            str(psycopg.conninfo.conninfo_to_dict(psycopg_dsn(url)).get("host", "?")), error
        ) from None
