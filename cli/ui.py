"""``propdesk ui``: serve the dashboard."""

from typing import Annotated

import typer

from adapters.settings import load_settings
from cli.output import say
from cli.surface_options import HostOption, PortOption, port_by_hand
from runtime.ports import LOOPBACK


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def ui(
        host: HostOption = LOOPBACK,
        port: PortOption = 0,
        dagster: Annotated[
            str, typer.Option(help="Address of Dagster's pages as a browser reaches them; empty = no link.")
        ] = "",
    ) -> None:
        """Serve the dashboard until it is stopped; reads the tables, writes sessions and commands alone."""
        from web.ui.serve import serve

        settings = load_settings()
        chosen = port_by_hand(settings, "ui", port, settings.ui_port)
        say(f"Dashboard: http://{host}:{chosen}")
        serve(settings, host, chosen, dagster or None)
