"""``audit``: whether what was heard and done is still what was written down; how advisors keep their word."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.database import open_engine
from cli.output import EXIT_FAILURE, JsonOption, emit, say, show_table
from propdesk.core.errors import ConfigFault

if TYPE_CHECKING:
    import psycopg

    from adapters.db.repos.verify import Verdict


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    audit = typer.Typer(no_args_is_help=True, help="The signal log and the audit log.")
    audit.command("verify")(audit_verify)
    audit.command("signal")(audit_signal)
    audit.command("advisors")(audit_advisors)
    app.add_typer(audit, name="audit")


def audit_verify(
    heads: Annotated[
        Path | None,
        typer.Option(
            "--heads",
            help="JSON of an earlier run of this command: finds chains that were cut or redone since.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Walk every hash chain and compare it with the tables; exit code 1 at the first break of any."""
    from adapters.db.repos.verify import verify_all
    from propdesk.intake.document import document_hash

    noted = None if heads is None else read_heads(heads)
    verdicts: list[Verdict] = []
    with _reader() as connection:
        for verdict in verify_all(connection, document_hash, noted):
            verdicts.append(verdict)
            if not as_json:
                walked = "" if verdict.rows is None else f"{verdict.rows:,} rows, "
                say(f"{verdict.name}: {walked}{'broken' if verdict.broken else 'whole'}.")
    is_whole = all(one.broken is None for one in verdicts)
    if as_json:
        emit({"is_whole": is_whole, "verdicts": [_plain(one) for one in verdicts]})
    else:
        show_table(
            "Chains and comparisons",
            ("what", "rows", "head", "first break", "why"),
            [
                (
                    one.name,
                    one.rows,
                    one.head[:16],
                    None if one.broken is None else one.broken.row,
                    None if one.broken is None else one.broken.what,
                )
                for one in verdicts
            ],
        )
    if not is_whole:
        raise typer.Exit(EXIT_FAILURE)


def read_heads(path: Path) -> dict[str, tuple[int, str]]:
    """Read rows and head of each chain from an earlier ``audit verify --json``.

    Raises
    ------
    ConfigFault
        If the file is not one.
    """
    try:
        verdicts = json.loads(path.read_text(encoding="utf-8"))["verdicts"]
        return {str(one["name"]): (int(one["rows"]), str(one["head"])) for one in verdicts if one["head"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigFault(
            f"{path} is no output of `propdesk audit verify --json` ({error}): give such a file."
        ) from None


def audit_signal(
    record_id: Annotated[str, typer.Argument(help="Id of a signal or follow-up.")],
    as_json: JsonOption = False,
) -> None:
    """Show every version of one record: when it was claimed, heard, edited, taken back."""
    from adapters.db.repos.signal_log import read_versions

    with _reader() as connection:
        versions = read_versions(connection, record_id)
    if not versions:
        raise ConfigFault(f"{record_id!r} was never heard: take an id from `propdesk why` or a table.")
    if as_json:
        emit({"record_id": record_id, "versions": versions})
        return
    show_table(
        f"Versions of {record_id}",
        ("change", "revision", "claimed", "received", "logged", "door", "content"),
        [
            (
                one["change"],
                one["revision"],
                one["claimed_at"],
                one["received_at"],
                one["logged_at"],
                f"{one['chain']} · {one['origin'][:8]}",
                json.dumps(one["content"], ensure_ascii=False) if one["content"] else None,
            )
            for one in versions
        ],
    )


def audit_advisors(as_json: JsonOption = False) -> None:
    """Count per advisor what was posted, edited, taken back, claimed late or after the move."""
    from adapters.db.repos.signal_flags import advisor_conduct

    with _reader() as connection:
        rows = advisor_conduct(connection)
    if as_json:
        emit({"advisors": rows})
        return
    names = list(rows[0]) if rows else ["advisor_id"]
    show_table(
        "How advisors keep their word", [n.replace("_", " ") for n in names], [list(r.values()) for r in rows]
    )


def _plain(verdict: "Verdict") -> dict[str, Any]:
    broken = None if verdict.broken is None else {"row": verdict.broken.row, "what": verdict.broken.what}
    return {"name": verdict.name, "rows": verdict.rows, "head": verdict.head, "broken": broken}


@contextmanager
def _reader() -> "Iterator[psycopg.Connection[tuple[Any, ...]]]":
    from adapters.db.engine import begin
    from adapters.settings import load_settings

    with open_engine(load_settings(), "reader", "propdesk-cli") as engine, begin(engine) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield connection
