"""``propdesk up``: start everything, run the main job, report, stay up."""

from typing import Annotated

import typer

from cli.output import parse_day
from propdesk.core.errors import ConfigFault


def register(app: typer.Typer) -> None:
    """Add ``up``."""

    @app.command()
    def up(
        exit_after: Annotated[bool, typer.Option("--exit", help="End after the report; data stays.")] = False,
        first: Annotated[str, typer.Option(help="First day of the sample market.")] = "2025-01-01",
        last: Annotated[str, typer.Option(help="Last day that is ingested and backfilled.")] = "2025-06-30",
        replay_day: Annotated[str, typer.Option(help="Market day the daemon replays.")] = "2025-07-01",
        per_day: Annotated[int, typer.Option(min=1, max=5_000, help="Ideas a day.")] = 400,
        speed: Annotated[str, typer.Option(help="Speed of the replay.")] = "max",
        broker: Annotated[
            str, typer.Option(help="paper, or sandbox: a local Dhan, through the real adapter.")
        ] = "paper",
        servers_only: Annotated[
            bool, typer.Option("--servers-only", help="Start servers and Dagster, run no sample market.")
        ] = False,
    ) -> None:
        """Start everything, run the main job on the sample market, report, stay up until Ctrl-C.

        A second run reuses what is there. Everything listens on this machine only.
        """
        from cli.stage import UpOptions  # with the server libraries, which --help must not wait for
        from cli.up_run import run_up

        if broker not in ("paper", "sandbox"):
            raise ConfigFault(f"--broker: {broker!r} is neither 'paper' nor 'sandbox'.")
        options = UpOptions(
            exit_after=exit_after,
            first_day=parse_day(first, "--first"),
            last_day=parse_day(last, "--last"),
            replay_day=parse_day(replay_day, "--replay-day"),
            per_day=per_day,
            speed=speed,
            broker=broker,
            servers_only=servers_only,
        )
        if not options.first_day <= options.last_day < options.replay_day:
            raise ConfigFault("--first, --last and --replay-day must follow each other in time.")
        raise typer.Exit(run_up(options))
