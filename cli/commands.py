"""``propdesk pause``, ``resume``, ``kill``, ``flatten``, ``exit``, ``cancel``: commands to the daemon."""

import secrets
import sys
from typing import Annotated, Any, Final

import typer

from adapters.settings import Settings, load_settings
from cli.books import AccountOption
from cli.database import open_transaction
from cli.output import (
    EXIT_FAILURE,
    EXIT_NOT_RUNNING,
    EXIT_OK,
    JsonOption,
    emit,
    progress_console,
    say,
    show_table,
)
from cli.users import command_actor
from propdesk.core.errors import ConfigFault
from propdesk.model.command import STOPS, CommandKind, CommandState, Door
from propdesk.model.user import UserRole

WAIT_S: Final = 10.0
_KEY_BYTES: Final = 12

_ScopeOption = Annotated[
    str,
    typer.Option(
        "--scope",
        help="ACCOUNT, or one of CATEGORY, STRATEGY, ADVISOR, UNDERLYING, INSTRUMENT, RULE: ADVISOR:A01.",
    ),
]
_ReasonOption = Annotated[str, typer.Option("--reason", help="Kept with the change.")]
_YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")]
_WaitOption = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the answer.")]
_KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        help="Names the command: asked again that day under the same key it is the same one; on another "
        "day it is refused.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    _register_stops(app)
    _register_acts(app)

    @app.command()
    def commands(
        count: Annotated[int, typer.Option("--count", "-n", min=1, max=1_000)] = 20,
        account: AccountOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Show the newest commands, by whom, and what became of them."""
        from adapters.db.repos.commands import read_commands

        settings = load_settings()
        with open_transaction(settings, "reader", "propdesk-commands") as connection:
            found = read_commands(connection, account or settings.account_id, count)
        if as_json:
            emit({"commands": found})
            return
        show_table(
            f"{len(found)} newest commands",
            ("number", "asked", "by", "command", "state", "answer"),
            [
                (c["command_id"], c["asked_at"], c["asked_by"], _typed(c), c["state"], c["answer"])
                for c in found
            ],
        )


def _register_stops(app: typer.Typer) -> None:
    @app.command()
    def pause(
        scope: _ScopeOption = "ACCOUNT",
        reason: _ReasonOption = "",
        wait: _WaitOption = WAIT_S,
        key: _KeyOption = None,
        account: AccountOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Let nothing enter any more; what is held stays managed."""
        _send(account, CommandKind.PAUSE, {"scope": scope, "reason": reason}, key, wait, as_json=as_json)

    @app.command()
    def kill(
        level: Annotated[
            str,
            typer.Argument(help="ENTRIES_BLOCKED, REDUCE_ONLY (entries withdrawn), LIQUIDATING or LOCKED."),
        ],
        scope: _ScopeOption = "ACCOUNT",
        reason: _ReasonOption = "",
        yes: _YesOption = False,
        wait: _WaitOption = WAIT_S,
        key: _KeyOption = None,
        account: AccountOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Raise the kill level of a scope; never lowers one."""
        _confirm(f"Raise {scope} to {level.upper()}?", yes=yes)
        arguments = {"level": level, "scope": scope, "reason": reason}
        _send(account, CommandKind.KILL, arguments, key, wait, as_json=as_json)

    @app.command()
    def flatten(
        reason: _ReasonOption = "",
        yes: _YesOption = False,
        wait: _WaitOption = WAIT_S,
        key: _KeyOption = None,
        account: AccountOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Withdraw every entry and close every position; then the account is locked."""
        _confirm("Close everything at the market?", yes=yes)
        _send(account, CommandKind.FLATTEN, {"reason": reason}, key, wait, as_json=as_json)


def _register_acts(app: typer.Typer) -> None:
    @app.command()
    def resume(
        reason: Annotated[str, typer.Option("--reason", help="Who looked at what; kept with the change.")],
        scope: _ScopeOption = "ACCOUNT",
        wait: _WaitOption = WAIT_S,
        key: _KeyOption = None,
        account: AccountOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Lift what a person may lift of a scope."""
        _send(account, CommandKind.RESUME, {"scope": scope, "reason": reason}, key, wait, as_json=as_json)

    @app.command(name="exit")
    def leave(
        trade: Annotated[str, typer.Argument(help="Id of the trade or of its signal, or its beginning.")],
        reason: _ReasonOption = "",
        wait: _WaitOption = WAIT_S,
        key: _KeyOption = None,
        account: AccountOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Close one trade."""
        _send(account, CommandKind.EXIT, {"trade": trade, "reason": reason}, key, wait, as_json=as_json)

    @app.command()
    def cancel(
        scope: _ScopeOption = "ACCOUNT",
        reason: _ReasonOption = "",
        wait: _WaitOption = WAIT_S,
        key: _KeyOption = None,
        account: AccountOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Withdraw every entry that waits, at the broker or for its session; nothing is blocked."""
        _send(account, CommandKind.CANCEL, {"scope": scope, "reason": reason}, key, wait, as_json=as_json)


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigFault("Nobody is there to confirm this: add --yes if it is meant.")
    typer.confirm(question, abort=True, err=True)


def _send(
    account: str | None,
    kind: CommandKind,
    arguments: dict[str, str],
    key: str | None,
    wait_s: float,
    *,
    as_json: bool,
) -> None:
    """Ask, wait, show; the exit code says what became of it."""
    from adapters.db.engine import listening
    from adapters.db.repos.commands import (
        CHANNEL,
        NewCommand,
        ask,
        await_answer,
        read_command,
        transaction_start,
    )

    settings = load_settings()
    account_id = account or settings.account_id
    new = NewCommand(
        asked_by=command_actor(settings).name,
        role=UserRole.ADMIN,  # who reaches the database as the role that asks is the owner of the machine
        door=Door.CLI,
        kind=kind,
        arguments={name: words for name, words in arguments.items() if words},
        key=key or f"cli-{secrets.token_hex(_KEY_BYTES)}",
    )
    with open_transaction(settings, "access", "propdesk-ask") as connection:
        number = ask(connection, account_id, new)
        asked_at = read_command(connection, account_id, number)["asked_at"]
        is_repeat = asked_at < transaction_start(connection)
    asked = (
        f"NOT asked anew: this key stands for command {number}, asked at {asked_at}"
        if is_repeat
        else (f"Asked as command {number}")
    )
    say(f"{asked}; waiting for the daemon of account {account_id}.")
    with (
        listening(settings.database_url("reader"), "propdesk-answer", CHANNEL) as connection,
        progress_console().status(f"{kind} …"),
    ):
        found = await_answer(connection, account_id, number, wait_s)
    _show(settings, account_id, found, as_json=as_json)
    raise typer.Exit(exit_code(found["state"]))


def _show(settings: Settings, account_id: str, found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit(found)
    if found["state"] != CommandState.ASKED:
        if not as_json:
            show_table(f"Command {found['command_id']}", ("command", "state", "answer"), [
                (_typed(found), found["state"], found["answer"])])  # fmt: skip
        return
    stands = "unless it is too old by then."
    if found["kind"] in STOPS:
        stands = (
            "and holds entries back already. Read after midnight it only blocks entries, "
            "until a person lifts it."
        )
    say(
        f"No answer yet: {_last_sign(settings, account_id)}. The command stands, is decided when the "
        f"daemon reads it, {stands} See `propdesk commands`."
    )


def _last_sign(settings: Settings, account_id: str) -> str:
    from adapters.db.repos.heartbeat import silence_s

    with open_transaction(settings, "reader", "propdesk-answer") as connection:
        silent_s = silence_s(connection, account_id)
    if silent_s is None:
        return f"no daemon of account {account_id} was ever seen"
    return f"the daemon's last sign of life is {silent_s} s old"


def exit_code(state: str) -> int:
    """Tell the exit code of an answer: 0 done, 1 refused or expired, 3 not answered."""
    if state == CommandState.ASKED:
        return EXIT_NOT_RUNNING
    return EXIT_OK if state == CommandState.DONE else EXIT_FAILURE


def _typed(found: dict[str, Any]) -> str:
    return " ".join([found["kind"], *(f"{name}={words}" for name, words in found["arguments"].items())])
