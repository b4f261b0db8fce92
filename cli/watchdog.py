"""``propdesk watchdog``: hears when a trading daemon falls silent, whatever became of the rest (§6.2)."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from adapters.settings import Settings, load_settings
from cli.output import EXIT_FAILURE, EXIT_OK, say
from propdesk.core.errors import PropdeskError

if TYPE_CHECKING:
    from adapters.db.repos.dead_man import Look

LOOK_S: Final = 5.0
"""Seconds between two looks."""
PATIENCE_S: float = 5.0
"""Longest statement and longest wait for a lock of one look, s: what hangs is no look."""
_SAY_EVERY: Final = 12
"""A fault that stays is said with its first look and with each so-manieth."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def watchdog(
        once: Annotated[bool, typer.Option("--once", help="Look once; 1 if a daemon is silent.")] = False,
        silent_s: Annotated[
            int, typer.Option("--silent", min=5, help="Longest silence that is borne, seconds.")
        ] = 30,
    ) -> None:
        """Watch the trading daemons' heartbeats until stopped, and store an alert for each that is lost."""
        from adapters.clock import SystemClock
        from adapters.log import configure_logging

        settings, clock = load_settings(), SystemClock()
        if once:
            found = look(settings, clock.now_ns(), silent_s)
            silent = () if found is None else found.silent
            for sentence in silent:
                say(sentence)
            raise typer.Exit(EXIT_FAILURE if silent else EXIT_OK)
        configure_logging("watchdog", clock, level=settings.log_level, secrets=settings.secret_values())
        _watch(settings, silent_s)


def look(settings: Settings, now_ns: int, silent_s: int) -> "Look | None":
    """Look at every account's daemon once.

    Returns
    -------
    Look or None
        With a sentence for each that is silent; None outside market hours.

    Raises
    ------
    PropdeskError
        If the database cannot be asked, or does not answer in `PATIENCE_S`: that nobody is silent is not
        known then.
    """
    import psycopg
    from sqlalchemy.exc import SQLAlchemyError

    from adapters.calendar import load_calendar
    from adapters.db.repos.dead_man import tell_silent
    from cli.database import open_transaction

    patience = str(round(PATIENCE_S * 1000))
    try:
        with open_transaction(settings, "pipeline", "propdesk-watchdog") as connection:
            for name in ("statement_timeout", "lock_timeout"):
                connection.execute("SELECT set_config(%s, %s, true)", (name, patience))
            return tell_silent(connection, load_calendar(), now_ns, silent_s)
    except (psycopg.Error, SQLAlchemyError) as fault:
        first = str(fault).strip().partition("\n")[0]
        raise PropdeskError(f"the database gave no look at the daemons: {first}") from fault


def _watch(settings: Settings, silent_s: int) -> None:
    """Look until asked to end; a database that cannot be asked is told, counted and asked again."""
    import signal
    import threading

    from adapters.clock import SystemClock
    from adapters.log import get_logger

    stop, log = threading.Event(), get_logger()
    told: tuple[str, ...] | None = None
    blind = 0
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(LOOK_S):
        try:
            found = look(settings, SystemClock().now_ns(), silent_s)
        except PropdeskError as fault:
            if blind % _SAY_EVERY == 0:
                log.error("cannot_look", text=str(fault), in_a_row=blind + 1)
            blind, told = blind + 1, None
            continue
        blind = 0
        silent = () if found is None else found.silent
        said = silent or (_quiet(found),)
        if said != told:
            told = said
            for sentence in silent:
                log.error("daemon_silent", text=sentence)
            if not silent:
                log.info(_quiet(found))


def _quiet(found: "Look | None") -> str:
    """Name why nothing is told: that all is well is said only of daemons that were seen."""
    if found is None:
        return "outside_market_hours"
    return "no_daemon_is_silent" if found.watched else "no_daemon_is_expected"
