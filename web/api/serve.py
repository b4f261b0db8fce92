"""Composition root of the API's process."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from adapters.clock import SystemClock
from adapters.db.engine import create_engine
from adapters.log import configure_logging
from adapters.passwords import Passwords
from adapters.settings import Settings
from web.api.app import create_app
from web.api.parts import Parts, memory_limiter
from web.api.tokens import Tokens

READ_TIMEOUT_S: Final = 15
"""No page waits longer for a table; the query is ended, so that it holds no connection."""
ACCESS_TIMEOUT_S: Final = 5
IDLE_TIMEOUT_S: Final = 5
"""No transaction here computes anything between its statements, and one of users holds their rows."""
_CONNECTIONS_MAX: Final = 256
_STOP_GRACE_S: Final = 5


def make_parts(settings: Settings, surface: str) -> Parts:
    """Make what the routes of an installation's surface work with.

    Parameters
    ----------
    settings : Settings
    surface : {"api", "ui"}
        Names its connections, and who acts through it.

    Raises
    ------
    NotConfigured
        If the database or the key of the tokens is not known.
    """
    clock, name = SystemClock(), f"propdesk-{surface}"
    return Parts(
        reader=create_engine(
            settings.database_url("reader"),
            name,
            statement_timeout_s=READ_TIMEOUT_S,
            idle_timeout_s=IDLE_TIMEOUT_S,
        ),
        access=create_engine(
            settings.database_url("access"),
            f"{name}-access",
            statement_timeout_s=ACCESS_TIMEOUT_S,
            idle_timeout_s=IDLE_TIMEOUT_S,
        ),
        passwords=Passwords(),
        tokens=Tokens(settings.api_signing_key(), clock, settings.api_access_token_s),
        clock=clock,
        account_id=settings.account_id,
        session_time=timedelta(hours=settings.api_session_h),
        limiter=memory_limiter(),
        surface=surface,
    )


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until a signal asks to stop.

    Parameters
    ----------
    settings : Settings
    host : str
        Interface to listen on.
    port : int
    """
    run_surface(
        settings,
        "api",
        create_app,
        host,
        port,
        connections_max=_CONNECTIONS_MAX,
        stop_grace_s=_STOP_GRACE_S,
    )


def run_surface(
    settings: Settings,
    surface: str,
    make: Callable[[Parts], FastAPI],
    host: str,
    port: int,
    *,
    connections_max: int,
    stop_grace_s: int,
) -> None:
    """Serve an application until a signal asks to stop.

    Parameters
    ----------
    settings : Settings
    surface : {"api", "ui"}
        As of `make_parts`; names the log too.
    make : callable
        Makes the application.
    host : str
        Interface to listen on.
    port : int
    connections_max : int
        Requests and connections beyond it are answered 503.
    stop_grace_s : int
        How long a stop waits for what is under way, s.
    """
    configure_logging(surface, SystemClock(), level=settings.log_level, secrets=settings.secret_values())
    uvicorn.run(
        make(make_parts(settings, surface)),
        host=host,
        port=port,
        limit_concurrency=connections_max,
        timeout_graceful_shutdown=stop_grace_s,
        **server_options(settings),
    )


def server_options(settings: Settings) -> dict[str, Any]:
    """Give what the server is told of the world around it.

    Its own default believes whoever comes from this machine about the address of the client: each guess of a
    password could name an address of its own, and no limit by address would hold.
    """
    proxies = settings.api_trusted_proxies
    return {
        "proxy_headers": bool(proxies),
        "forwarded_allow_ips": proxies.split(",") if proxies else [],
        "log_config": None,
        "access_log": False,
        "server_header": False,
    }
