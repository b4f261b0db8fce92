"""``propdesk ui``: serve the dashboard."""

from typing import Annotated, Final

import typer

from adapters.settings import ENV_PREFIX, load_settings
from cli.output import say
from runtime.ports import LOOPBACK

_NAME: Final = "ui-by-hand"
"""Its port is remembered apart from that of the dashboard that `up` runs."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def ui(
        host: Annotated[
            str, typer.Option(help="Interface to listen on; others than this machine's need a TLS proxy.")
        ] = LOOPBACK,
        port: Annotated[
            int, typer.Option(min=0, max=65_535, help="0 = the one of the settings, or of an earlier start.")
        ] = 0,
        dagster: Annotated[
            str, typer.Option(help="Address of Dagster's pages as a browser reaches them; empty = no link.")
        ] = "",
    ) -> None:
        """Serve the dashboard until it is stopped; reads the tables, writes sessions and commands alone."""
        from runtime.home import Home
        from runtime.ports import PortBook
        from web.ui.serve import serve

        settings = load_settings()
        home = Home(settings.home)
        home.create()
        chosen = PortBook(home).take(_NAME, port or settings.ui_port, f"{ENV_PREFIX}UI_PORT")
        say(f"Dashboard: http://{host}:{chosen}")
        serve(settings, host, chosen, dagster or None)
