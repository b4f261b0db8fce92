"""``propdesk api``: serve the API."""

from typing import Annotated, Final

import typer

from adapters.settings import ENV_PREFIX, load_settings
from cli.output import say
from runtime.ports import LOOPBACK

_NAME: Final = "api-by-hand"
"""Its port is remembered apart from that of the API that `up` runs."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def api(
        host: Annotated[
            str, typer.Option(help="Interface to listen on; others than this machine's need a TLS proxy.")
        ] = LOOPBACK,
        port: Annotated[
            int, typer.Option(min=0, max=65_535, help="0 = the one of the settings, or of an earlier start.")
        ] = 0,
    ) -> None:
        """Serve the API until it is stopped; reads the tables, writes nothing but sessions."""
        from runtime.home import Home
        from runtime.ports import PortBook
        from web.api.serve import serve

        settings = load_settings()
        home = Home(settings.home)
        home.create()
        chosen = PortBook(home).take(_NAME, port or settings.api_port, f"{ENV_PREFIX}API_PORT")
        say(f"API: http://{host}:{chosen}/api/v1/openapi.json")
        serve(settings, host, chosen)
