"""``propdesk watchdog``: hears when a trading daemon falls silent, whatever became of the rest (§6.2)."""

from typing import Annotated, Final

import typer

from adapters.settings import Settings, load_settings
from cli.output import EXIT_FAILURE, EXIT_OK, say
from propdesk.core.errors import PropdeskError

LOOK_S: Final = 5.0
"""Seconds between two looks."""


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
            silent = look(settings, clock.now_ns(), silent_s)
            for sentence in silent:
                say(sentence)
            raise typer.Exit(EXIT_FAILURE if silent else EXIT_OK)
        configure_logging("watchdog", clock, level=settings.log_level, secrets=settings.secret_values())
        _watch(settings, silent_s)


def look(settings: Settings, now_ns: int, silent_s: int) -> tuple[str, ...]:
    """Look at every account's daemon once.

    Returns
    -------
    tuple of str
        A sentence for each that is silent; empty outside market hours.

    Raises
    ------
    PropdeskError
        If the database cannot be asked: that nobody is silent is not known then.
    """
    from adapters.calendar import load_calendar
    from adapters.db.repos.dead_man import tell_silent
    from cli.database import open_transaction

    with open_transaction(settings, "pipeline", "propdesk-watchdog") as connection:
        found = tell_silent(connection, load_calendar(), now_ns, silent_s)
    return () if found is None else found.silent


def _watch(settings: Settings, silent_s: int) -> None:
    """Look until asked to end; a database that cannot be asked is told once and asked again."""
    import signal
    import threading

    from adapters.clock import SystemClock
    from adapters.log import get_logger

    stop, log = threading.Event(), get_logger()
    told: tuple[str, ...] = ("",)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(LOOK_S):
        try:
            found = look(settings, SystemClock().now_ns(), silent_s)
        except PropdeskError as fault:
            found = (f"cannot look: {fault}",)
        if found != told:
            told = found
            for sentence in found:
                log.error("daemon_silent", text=sentence)
            if not found:
                log.info("no_daemon_is_silent")
