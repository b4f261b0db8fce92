"""Composition root of the dashboard's process."""

from typing import Final

from adapters.settings import Settings
from web.api.serve import run_surface
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
    run_surface(
        settings,
        "ui",
        lambda parts: create_app(parts, settings, dagster_url),
        host,
        port,
        connections_max=_CONNECTIONS_MAX,
        stop_grace_s=_STOP_GRACE_S,
    )
