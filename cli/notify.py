"""``propdesk notify``: send messages to people; look after those that could not be sent."""

from typing import Annotated

import typer

from adapters.settings import load_settings
from cli.output import EXIT_FAILURE, JsonOption, emit, say, show_table
from propdesk.core.calendar import ist_text


def register(app: typer.Typer) -> None:
    """Add the commands."""
    notify = typer.Typer(help="Messages to people, by WhatsApp and Telegram.", invoke_without_command=True)
    dead = typer.Typer(help="Messages that were given up.", no_args_is_help=True)
    notify.add_typer(dead, name="dead")
    app.add_typer(notify, name="notify")

    @notify.callback()
    def run(
        context: typer.Context,
        once: Annotated[
            bool, typer.Option("--once", help="Send what waits, then end; 1 if something could not be sent.")
        ] = False,
    ) -> None:
        """Send messages until stopped."""
        if context.invoked_subcommand is not None:
            return
        from adapters.clock import SystemClock
        from adapters.log import configure_logging
        from trading_daemon.notifier import run_notifier

        settings, clock = load_settings(), SystemClock()
        configure_logging("notifier", clock, level=settings.log_level, secrets=settings.secret_values())
        if not run_notifier(settings, clock, once=once):
            say("Not everything was sent: the next call goes on; see also `propdesk notify dead list`.")
            raise typer.Exit(EXIT_FAILURE)

    @notify.command()
    def test() -> None:
        """Send a message to everybody by every channel, and say how each went."""
        from trading_daemon.notifier import run_trial

        settings = load_settings()
        found = run_trial(settings)
        show_table("Trial messages", ("recipient", "channel", "outcome"), found.rows)
        if not found.is_good:
            raise typer.Exit(EXIT_FAILURE)

    @dead.command("list")
    def list_dead(as_json: JsonOption = False) -> None:
        """Show the messages that were given up, and why."""
        from adapters.db.repos.notifications import read_dead
        from cli.database import open_transaction

        settings = load_settings()
        with open_transaction(settings, "notifier", "propdesk-notify-dead") as connection:
            found = read_dead(connection, settings.account_id)
        if as_json:
            emit({"dead": found})
            return
        shown = ("event_id", "recipient", "kind", "attempts")
        show_table(
            f"Dead letters of account {settings.account_id}",
            (*shown, "given up", "reason"),
            [
                (
                    r["event_id"],
                    r["recipient"],
                    r["kind"],
                    r["attempts"],
                    ist_text(r["changed_ns"]),
                    r["reason"],
                )
                for r in found
            ],
        )

    @dead.command("retry")
    def retry(
        events: Annotated[list[int] | None, typer.Argument(help="Numbers of events; all by default.")] = None,
    ) -> None:
        """Put messages that were given up back into their lanes, the oldest first."""
        from adapters.clock import SystemClock
        from adapters.db.repos.notifications import retry_dead
        from cli.database import open_transaction

        settings = load_settings()
        with open_transaction(settings, "notifier", "propdesk-notify-dead") as connection:
            count = retry_dead(connection, settings.account_id, events or None, SystemClock().now_ns())
        say(f"{count} messages wait again; the notifier takes them at its next look.")
