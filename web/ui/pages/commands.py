"""Commands to the daemon: asked with a confirmation, answered before the person's eyes."""

import secrets
from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import psycopg
from nicegui import ui

from adapters.db.engine import DatabaseUnreachable
from adapters.db.repos.books import read_positions
from adapters.db.repos.commands import read_commands
from adapters.log import get_logger
from propdesk.core.errors import DataFault
from propdesk.model.command import STOPS, CommandKind, CommandState, Door
from propdesk.model.enums import KillLevel
from propdesk.model.user import UserRole
from propdesk.risk.chat import Commanding
from propdesk.risk.desk_commands import WORDS_MAX, Unusable, parse
from propdesk.risk.kill_switch import ACCOUNT_SCOPE
from web.api.commands import ask_in_name_of
from web.api.problems import Problem
from web.ui import formats
from web.ui.frame import PageSpec
from web.ui.grid import GridSpec, grid
from web.ui.login import login_address
from web.ui.panel import Panel
from web.ui.visit import Row, SessionOver, Visit
from web.ui.widgets import Column, empty, heading, table

T = TypeVar("T")

_SHOWN: Final = 15
_KEY_BYTES: Final = 12
_MEANS: Final = {
    CommandKind.PAUSE: "Lets nothing enter any more. What is held stays managed, what rests rests on.",
    CommandKind.RESUME: "Lifts what you may lift; more than a person's block of entries needs an admin.",
    CommandKind.KILL: "Raises the kill level of the scope; never lowers it.",
    CommandKind.FLATTEN: "Withdraws every entry and closes every position of the account at the market; "
    "then the account is locked.",
    CommandKind.EXIT: "Closes one trade at the market.",
    CommandKind.CANCEL: "Withdraws every entry of the scope that waits, at the broker or for its session. "
    "Nothing is blocked.",
}
_LEVELS: Final = {
    KillLevel.ENTRIES_BLOCKED: "Nothing enters any more, as after PAUSE.",
    KillLevel.REDUCE_ONLY: "Entries that rest are withdrawn, too, and ideas that wait are dropped.",
    KillLevel.LIQUIDATING: "Everything of the scope is closed at the market; then it is locked.",
    KillLevel.LOCKED: "Everything of the scope is closed at the market, and it is locked at once.",
}
_TAKES: Final[Mapping[str, tuple[CommandKind, ...]]] = {
    "scope": (CommandKind.PAUSE, CommandKind.RESUME, CommandKind.KILL, CommandKind.CANCEL),
    "level": (CommandKind.KILL,),
    "trade": (CommandKind.EXIT,),
    "reason": tuple(CommandKind),
}


def command_address(kind: CommandKind, **arguments: str) -> str:
    """Give the address of this page with a command filled in; nothing is asked by opening it."""
    return f"/commands?{urlencode({'ask': kind, **arguments})}"


async def build(visit: Visit) -> None:
    """Draw the page."""
    account = visit.house.parts.account_id
    heading("Ask the daemon", f"Of account {account}. It decides and answers below, whoever else asks.")
    place = ui.element("div")
    heading(
        "Newest commands",
        "Whoever asked them, at whatever door. A stop holds entries back from when it was asked.",
    )

    async def read() -> list[Row]:
        return await visit.read(lambda c: read_commands(c, account, _SHOWN), UserRole.TRADER)

    answers = Panel(visit, read, _draw_newest, is_live=True)
    with place:
        _Form(visit, answers)
    heading("All commands")
    columns = ("command_id", "asked_at", "asked_by", "door", "kind", "arguments", "state", "answer")
    choices: dict[str, Sequence[str]] = {"kind": list(CommandKind), "state": list(CommandState)}
    grid(visit, GridSpec("commands", columns, choices=choices, is_small=True))


class _Form:
    """What is asked, checked as the daemon checks words, and confirmed before it is asked."""

    def __init__(self, visit: Visit, answers: Panel) -> None:
        self._visit, self._answers = visit, answers
        given = visit.query
        kind = given.get("ask", "")
        first = CommandKind(kind) if kind in list(CommandKind) else CommandKind.PAUSE
        level = given.get("level", "")
        with ui.element("div").classes("tools asking"):
            kinds = [kind.value for kind in CommandKind]
            self._kind = ui.select(kinds, label="Command", value=first.value, on_change=self._turn)
            levels = [level.value for level in _LEVELS]
            first_level = level if level in levels else KillLevel.REDUCE_ONLY.value
            self._fields: dict[str, Any] = {
                "level": ui.select(levels, label="Level", value=first_level, on_change=self._turn),
                "scope": ui.input("Scope", value=given.get("scope", ACCOUNT_SCOPE)),
                "trade": ui.input("Trade or signal", value=given.get("trade", "")),
                "reason": ui.input("Reason, kept with it", value=given.get("reason", "")),
            }
            for field in (self._kind, *self._fields.values()):
                field.props("dense outlined options-dense")
            for name in ("scope", "trade", "reason"):
                self._fields[name].props(f"maxlength={WORDS_MAX}").on("keydown.enter", self._review)
            with self._fields["scope"]:
                ui.tooltip(
                    "ACCOUNT, or CATEGORY:…, STRATEGY:…, SIDE:…, ADVISOR:…, UNDERLYING:…, "
                    "INSTRUMENT:…, RULE:…"
                )
            with self._fields["trade"]:
                ui.tooltip("Id of the trade or of its signal, or its first characters")
            ui.button("Review", on_click=self._review).props("no-caps outline")
        self._meaning = ui.label().classes("hint")
        self._said = ui.label().classes("box").props('role="status"')
        self._said.set_visibility(False)
        self._turn()

    def _turn(self) -> None:
        kind = CommandKind(self._kind.value)
        for name, field in self._fields.items():
            field.set_visibility(kind in _TAKES[name])
        self._meaning.set_text(meaning(kind, self._fields["level"].value))

    def _given(self) -> dict[str, str]:
        kind = CommandKind(self._kind.value)
        words = {name: str(field.value or "").strip() for name, field in self._fields.items()}
        # A scope that was emptied is none: left out, it would be everything.
        return {
            name: text for name, text in words.items() if kind in _TAKES[name] and (text or name == "scope")
        }

    async def _review(self) -> None:
        kind, arguments = CommandKind(self._kind.value), self._given()
        meant = parse(kind, arguments)
        if isinstance(meant, Unusable):
            self._say(meant.words, "fault")
            return
        bears_on = meaning(kind, arguments.get("level", ""))
        if kind is CommandKind.EXIT:
            account = self._visit.house.parts.account_id
            legs = await self._guarded(self._visit.share("positions", lambda c: read_positions(c, account)))
            if legs is None:
                return
            bears_on = f"{bears_on} {trades_meant(legs, meant.trade)}"
        self._confirm(kind, arguments, bears_on)

    def _confirm(self, kind: CommandKind, arguments: dict[str, str], bears_on: str) -> None:
        key = f"ui-{secrets.token_hex(_KEY_BYTES)}"  # pressed twice, asked once
        with ui.dialog() as dialog, ui.card().classes("confirm"):
            ui.label(f"{Commanding(kind, arguments)}?").classes("name")
            ui.label(bears_on)
            account = self._visit.house.parts.account_id
            ui.label(f"Account {account}, asked by {self._visit.session.login}.").classes("hint")
            with ui.element("div").classes("tools"):
                act = partial(self._ask, dialog, key, kind, arguments)
                tone = "negative" if kind in STOPS or kind is CommandKind.EXIT else "primary"
                ui.button(f"Ask: {kind}", on_click=act, color=tone).props("no-caps autofocus")
                ui.button("Back", on_click=dialog.delete).props("no-caps flat")
        dialog.on("hide", dialog.delete)
        dialog.open()

    async def _ask(self, dialog: ui.dialog, key: str, kind: CommandKind, arguments: dict[str, str]) -> None:
        parts = self._visit.house.parts
        asked = await self._guarded(
            self._visit.act(
                lambda session: ask_in_name_of(parts, session, Door.UI, key, kind, arguments), UserRole.TRADER
            )
        )
        if asked is None:
            return  # the dialog and its key stay: whether it was asked may not be known
        self._say(f"Asked as command {asked['command_id']}: the daemon answers below.", "")
        dialog.delete()
        await self._answers.refresh()

    async def _guarded(self, work: Awaitable[T]) -> T | None:
        """Give what comes of it; None where that was no answer, which is said."""
        try:
            return await work
        except SessionOver:
            ui.navigate.to(login_address(self._visit.address))
        except (DatabaseUnreachable, psycopg.OperationalError):
            self._tell("The database did not answer. Press again: the same press is asked once.")
        except (Problem, DataFault) as refused:
            self._tell(f"NOTHING was asked. {getattr(refused, 'detail', '') or refused}")
        except Exception:  # whatever it was: silence would pass for a command that was asked
            get_logger().exception("asking_failed")
            self._tell(
                "Something broke here: look below whether it was asked. The log of the dashboard says what."
            )
        return None

    def _tell(self, sentence: str) -> None:
        self._say(sentence, "fault")
        ui.notify(sentence, type="negative", timeout=0, close_button="Close")  # over the dialog

    def _say(self, sentence: str, tone: str) -> None:
        self._said.set_text(sentence)
        self._said.classes(replace=f"box {tone}")
        self._said.set_visibility(True)


def meaning(kind: CommandKind, level: str) -> str:
    """Say what becomes of a command.

    Examples
    --------
    >>> meaning(CommandKind.KILL, "LOCKED").partition(". ")[2]
    'Everything of the scope is closed at the market, and it is locked at once.'
    """
    more = f" {_LEVELS[KillLevel(level)]}" if kind is CommandKind.KILL else ""
    return _MEANS[kind] + more


def trades_meant(legs: Sequence[Row], beginning: str) -> str:
    """Name the open trades that an id, or its beginning, stands for.

    Parameters
    ----------
    legs : sequence of dict
        Of `read_positions`.
    beginning : str
        Of the id of a trade or of its signal.
    """
    exact = [leg for leg in legs if beginning in (leg["group_id"], leg["signal_id"])]
    begin = [
        leg for leg in legs if any(leg[name].startswith(beginning) for name in ("group_id", "signal_id"))
    ]
    meant = {
        leg["group_id"]: f"{leg['side']} {leg['instrument_key']} of {leg['advisor_id']}"
        for leg in exact or begin
    }
    if not meant:
        return "No open trade has this id: the daemon will refuse it."
    if len(meant) > 1:
        return f"{len(meant)} open trades begin so: the daemon will refuse it."
    return f"It is {next(iter(meant.values()))}."


def _draw_newest(commands: Sequence[Row]) -> None:
    if not commands:
        empty("Nobody has asked anything yet.")
        return
    columns = (
        Column("command_id", "Number", is_number=True),
        Column("asked_at"),
        Column("asked_by"),
        Column("command", "Command", is_text=True),
        Column("command_state", "State"),
        Column("command_answer", "Answer", is_text=True),
    )
    rows = [
        (
            c["command_id"],
            formats.moment(c["asked_at"]),
            c["asked_by"],
            str(Commanding(c["kind"], c["arguments"])),
            c["state"],
            c["answer"] or _unanswered(c["kind"]),
        )
        for c in commands
    ]
    table(columns, rows, "Newest commands")


def _unanswered(kind: str) -> str:
    return "Not answered yet" + ("; it holds entries back already." if kind in STOPS else ".")


PAGES: Final = (PageSpec("/commands", "Commands", build, UserRole.TRADER, menu="Commands"),)
