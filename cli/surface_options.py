"""Options that the commands of API and dashboard have in common."""

from typing import Annotated, TypeAlias

import typer

from adapters.settings import ENV_PREFIX, Settings

HostOption: TypeAlias = Annotated[
    str, typer.Option(help="Interface to listen on; others than this machine's need a TLS proxy.")
]
PortOption: TypeAlias = Annotated[
    int, typer.Option(min=0, max=65_535, help="0 = the one of the settings, or of an earlier start.")
]


def port_by_hand(settings: Settings, surface: str, wanted: int, configured: int) -> int:
    """Choose the port of a surface that a person starts, remembered apart from that of the one `up` runs.

    Parameters
    ----------
    settings : Settings
    surface : {"api", "ui"}
    wanted, configured : int
        Asked for on the command line, and by the settings; 0 = no matter.

    Raises
    ------
    ConfigFault
        If the port is taken.
    """
    from runtime.home import Home
    from runtime.ports import PortBook

    home = Home(settings.home)
    home.create()
    return PortBook(home).take(
        f"{surface}-by-hand", wanted or configured, f"{ENV_PREFIX}{surface.upper()}_PORT"
    )
