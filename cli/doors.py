"""``propdesk doors``: take live signals by signed HTTP requests and from a watched folder."""

import secrets
from typing import TYPE_CHECKING, Final

import typer

from adapters.settings import Settings, load_settings
from cli.output import result_console, say
from cli.surface_options import HostOption, PortOption, port_by_hand
from runtime.ports import LOOPBACK

if TYPE_CHECKING:
    from propdesk.core.clock import Clock
    from trading_daemon.ports import Log

_KEY_BYTES: Final = 32


def register(app: typer.Typer) -> None:
    """Add the commands."""
    doors = typer.Typer(
        help="Doors for live signals: what they take goes the way of the change stream.", no_args_is_help=True
    )
    app.add_typer(doors, name="doors")

    @doors.command()
    def webhook(host: HostOption = LOOPBACK, port: PortOption = 0) -> None:
        """Take signals by signed HTTP requests until stopped."""
        from trading_daemon.webhook import serve_webhook

        settings = load_settings()
        settings.webhook_keyring()
        settings.mongo_dsn()
        chosen = port_by_hand(settings, "webhook", port, settings.webhook_port)
        say(f"Webhook: http://{host}:{chosen}/signals, for {', '.join(sorted(settings.webhook_keyring()))}")
        clock, log = _tools(settings, "webhook")
        serve_webhook(settings, clock, log, host, chosen)

    @doors.command()
    def folder() -> None:
        """Take signals from files dropped into PROPDESK_SIGNAL_DIR until stopped."""
        from trading_daemon.signal_folder import watch_folder

        settings = load_settings()
        settings.mongo_dsn()
        say(f"Watching {settings.signal_dir}")
        clock, log = _tools(settings, "signal-folder")
        watch_folder(settings, clock, log)

    @doors.command()
    def key() -> None:
        """Print a new random key for a source of the webhook; it is kept nowhere."""
        result_console().print(secrets.token_urlsafe(_KEY_BYTES), markup=False)


def _tools(settings: Settings, name: str) -> "tuple[Clock, Log]":
    from adapters.clock import SystemClock
    from adapters.log import configure_logging, get_logger

    clock = SystemClock()
    configure_logging(name, clock, level=settings.log_level, secrets=settings.secret_values())
    return clock, get_logger()
