"""Composition root of the dashboard's process."""

from typing import Final

import uvicorn

from adapters.clock import SystemClock
from adapters.log import configure_logging
from adapters.settings import Settings
from web.api.serve import make_parts, server_options
from web.ui.app import create_app

_STOP_GRACE_S: Final = 3
_CONNECTIONS_MAX: Final = 512


def serve(settings: Settings, host: str, port: int, dagster_url: str | None) -> None:
    """Serve until a signal asks to stop.

    Parameters
    ----------
    settings : Settings
    host : str
        Interface to listen on.
    port : int
    dagster_url : str or None
        Where a browser finds Dagster's pages.
    """
    configure_logging("ui", SystemClock(), level=settings.log_level, secrets=settings.secret_values())
    uvicorn.run(
        create_app(make_parts(settings, "ui"), settings, dagster_url),
        host=host,
        port=port,
        limit_concurrency=_CONNECTIONS_MAX,
        timeout_graceful_shutdown=_STOP_GRACE_S,
        **server_options(settings),
    )
