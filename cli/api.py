"""``propdesk api``: serve the API."""

import typer

from adapters.settings import load_settings
from cli.output import say
from cli.surface_options import HostOption, PortOption, port_by_hand
from runtime.ports import LOOPBACK


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def api(
        host: HostOption = LOOPBACK,
        port: PortOption = 0,
    ) -> None:
        """Serve the API until it is stopped; reads the tables, writes nothing but sessions."""
        from web.api.serve import serve

        settings = load_settings()
        chosen = port_by_hand(settings, "api", port, settings.api_port)
        say(f"API: http://{host}:{chosen}/api/v1/openapi.json")
        serve(settings, host, chosen)
