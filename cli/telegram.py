"""``propdesk telegram``: answer people and take their commands by Telegram."""

import typer

from adapters.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def telegram() -> None:
        """Answer the people of PROPDESK_TELEGRAM_PEOPLE, and take their commands, until stopped."""
        from adapters.clock import SystemClock
        from adapters.log import configure_logging
        from trading_daemon.telegram_door import run_door

        settings, clock = load_settings(), SystemClock()
        configure_logging("telegram", clock, level=settings.log_level, secrets=settings.secret_values())
        run_door(settings, clock)
