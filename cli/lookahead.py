"""`propdesk lookahead`: whether any table of a past day knows what came later."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.interrupt import ending_on_sigterm
from cli.output import EXIT_FAILURE, JsonOption, emit, parse_day, progress_console, say, show_table

if TYPE_CHECKING:
    from orchestration.lookahead import Report


def register(app: typer.Typer) -> None:
    """Add the command of this area."""
    app.command()(lookahead)


def lookahead(
    first: Annotated[str, typer.Argument(metavar="FROM", help="First day; drawn in to a market day.")],
    last: Annotated[str, typer.Argument(metavar="TO", help="Last day; drawn in to a market day.")],
    with_corrections: Annotated[
        bool,
        typer.Option(
            "--with-corrections", help="Take later revisions of signals as known: what is left is the code's."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the steps as of each day without all later data and compare every table of steps 2 to 9."""
    from adapters.settings import load_settings
    from orchestration.lookahead import detect

    begin, end = parse_day(first, "FROM"), parse_day(last, "TO")
    with ending_on_sigterm(), progress_console().status("making a scratch database") as shown:
        found = detect(
            load_settings(),
            begin,
            end,
            with_corrections=with_corrections,
            tell=lambda text: shown.update(text),
        )
    emit(_payload(found)) if as_json else _show(found)
    if not found.is_clean:
        raise typer.Exit(EXIT_FAILURE)


def _payload(found: "Report") -> dict[str, object]:
    return {
        "first": found.days[0],
        "last": found.days[-1],
        "days": len(found.days),
        "begin": found.begin,
        "clean": found.is_clean,
        "tables": {
            one.table: {
                "rows": one.rows,
                "differing": one.differing,
                "revised": one.revised,
                "first": [
                    {"day": d.day, "key": d.key, "columns": d.columns, "revised": d.is_revised}
                    for d in one.first
                ],
            }
            for one in found.tables
        },
    }


def _show(found: "Report") -> None:
    show_table(
        f"As known at the end of {len(found.days)} days, {found.days[0]} to {found.days[-1]}",
        ("table", "rows compared", "differing", "of records revised later"),
        [(one.table, one.rows, one.differing, one.revised) for one in found.tables],
    )
    rows = [
        (one.table, d.day, d.key, ", ".join(d.columns) + (" (revised later)" if d.is_revised else ""))
        for one in found.tables
        for d in one.first
    ]
    if rows:
        show_table("The first rows that differ", ("table", "as of", "key", "columns"), rows)
        say(
            "These rows know what came after the day, or the desk's tables are older than its data or code "
            "(`propdesk backfill` brings them up to date)."
        )
    else:
        say("No table knows what came later.")
