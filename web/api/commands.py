"""Commands to the daemon: asked here, decided and answered by it (docs/decisions/0030)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from adapters.db.engine import begin
from adapters.db.repos.commands import KEY_LENGTH_MAX, KeyReused, NewCommand, ask, read_command
from adapters.db.repos.users import Session
from propdesk.model.command import CommandKind, CommandState, Door
from propdesk.model.enums import KillLevel
from propdesk.model.user import UserRole
from propdesk.risk.desk_commands import TRADE_MIN, WORDS_MAX
from web.api.answers import answer, written
from web.api.guard import ROLE_MARK, guard, protected
from web.api.parts import PREFIX, Parts
from web.api.problems import Problem
from web.api.schemas import problems

_NUMBER_MAX: Final = 2**63 - 1
_Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=KEY_LENGTH_MAX,
        pattern=r"^[ -~]+$",
        description="Names the command for good: sent again with the same, it is asked once.",
        examples=["7d0f6a0e-0a51-4f0e-9c43-2f7d8a1c5b90"],
    ),
]
_Scope = Annotated[
    str,
    Field(
        default="ACCOUNT",
        min_length=1,
        max_length=WORDS_MAX,
        description="ACCOUNT, CATEGORY:…, STRATEGY:…, SIDE:…, ADVISOR:…, UNDERLYING:…, "
        "INSTRUMENT:… or RULE:…",
    ),
]
_Reason = Annotated[str, Field(default="", max_length=WORDS_MAX, description="Kept with the change.")]


def _example(**members: str) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"example": dict(members)})


class Scoped(BaseModel):
    """What a pause or a withdrawal of entries bears on, and why."""

    model_config = _example(scope="ADVISOR:A01", reason="three wrong stops today")

    scope: _Scope
    reason: _Reason


class Resumption(BaseModel):
    """What is lifted, and who looked at what."""

    model_config = _example(scope="ADVISOR:A01", reason="spoke to the advisor")

    scope: _Scope
    reason: str = Field(min_length=1, max_length=WORDS_MAX)


class Raise(BaseModel):
    """To which level a scope is raised; never lowered."""

    model_config = _example(level="REDUCE_ONLY", scope="ACCOUNT", reason="odd fills")

    level: KillLevel = Field(description="Any but ACTIVE, which `resume` leads back to.")
    scope: _Scope
    reason: _Reason


class Why(BaseModel):
    """Why everything is closed."""

    model_config = _example(reason="the line to the exchange is unsure")

    reason: _Reason


class Trade(BaseModel):
    """Which trade is left."""

    model_config = _example(trade="3f2a9c01", reason="news")

    trade: str = Field(
        min_length=TRADE_MIN,
        max_length=WORDS_MAX,
        description="Id of the trade or its signal, or its beginning.",
    )
    reason: _Reason


class Command(BaseModel):
    """A command as it stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "command_id": 12,
                "kind": "PAUSE",
                "arguments": {"scope": "ADVISOR:A01"},
                "asked_by": "api:asha",
                "role": "TRADER",
                "door": "API",
                "asked_at": "2025-07-01T04:30:00+00:00",
                "state": "DONE",
                "answer": "ADVISOR:A01 is ENTRIES_BLOCKED. Open trades under it: 1; they stay managed, …",
                "answered_at": "2025-07-01T04:30:00.021+00:00",
            }
        }
    )

    command_id: int = Field(json_schema_extra={"format": "int64"})
    kind: str
    arguments: dict[str, Any] = Field(description="As typed; the scope as kill levels name it.")
    asked_by: str
    role: UserRole
    door: Door
    asked_at: datetime
    state: CommandState = Field(description="ASKED until the daemon answers, once.")
    answer: str | None = Field(description="The daemon's words.")
    answered_at: datetime | None


def commands_router(parts: Parts) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/commands", tags=["commands"])
    asking: dict[str, Any] = {
        "status_code": 202,
        "response_model": Command,
        "responses": {202: _ACCEPTED, **problems(401, 403, 413, 422, 503)},
        "openapi_extra": {ROLE_MARK: UserRole.TRADER.value},
    }
    caller = Annotated[Session, Depends(guard(parts, UserRole.TRADER))]

    @router.post("/pause", **asking)
    def pause(session: caller, key: _Key, given: Scoped) -> Response:
        """Let nothing enter any more; what is held and what rests at the broker stays."""
        return _ask(parts, session, key, CommandKind.PAUSE, given)

    @router.post("/resume", **asking)
    def resume(session: caller, key: _Key, given: Resumption) -> Response:
        """Lift what a person may lift; more than a person's block of entries only for an admin."""
        return _ask(parts, session, key, CommandKind.RESUME, given)

    @router.post("/kill", **asking)
    def kill(session: caller, key: _Key, given: Raise) -> Response:
        """Raise a kill level; REDUCE_ONLY withdraws entries that rest, LIQUIDATING closes everything."""
        return _ask(parts, session, key, CommandKind.KILL, given)

    @router.post("/flatten", **asking)
    def flatten(session: caller, key: _Key, given: Why) -> Response:
        """Withdraw every entry and close every position; then the account is locked."""
        return _ask(parts, session, key, CommandKind.FLATTEN, given)

    @router.post("/exit", **asking)
    def leave(session: caller, key: _Key, given: Trade) -> Response:
        """Close one trade."""
        return _ask(parts, session, key, CommandKind.EXIT, given)

    @router.post("/cancel", **asking)
    def cancel(session: caller, key: _Key, given: Scoped) -> Response:
        """Withdraw every entry that waits, at the broker or for its session; nothing is blocked."""
        return _ask(parts, session, key, CommandKind.CANCEL, given)

    @router.get(
        "/{command_id}",
        response_model=Command,
        responses=problems(401, 403, 404, 422, 503),
        **protected(parts, UserRole.TRADER),
    )
    def command(
        request: Request, command_id: Annotated[int, Path(ge=1, le=_NUMBER_MAX, examples=[12])]
    ) -> Response:
        """Show a command and, once there is one, the daemon's answer."""
        with begin(parts.reader) as connection:
            return answer(request, read_command(connection, parts.account_id, command_id))

    return router


_ACCEPTED: Final[dict[str, Any]] = {
    "description": "Asked; the daemon answers. The same key again gives the same command.",
    "headers": {"Location": {"description": "Address of the command.", "schema": {"type": "string"}}},
}


def ask_in_name_of(
    parts: Parts, session: Session, door: Door, key: str, kind: str, arguments: Mapping[str, str]
) -> dict[str, Any]:
    """Put a person's command into the table.

    Returns
    -------
    dict
        The command as it stands; that of the first time where the same was asked under the same key.

    Raises
    ------
    SchemaFault
        If it cannot be meant; what only the daemon can tell, it answers.
    KeyReused
        If the key stands for another command.
    """
    new = NewCommand(parts.actor(session.login).name, session.role, door, kind, arguments, key)
    with begin(parts.access) as connection:
        return read_command(connection, parts.account_id, ask(connection, parts.account_id, new))


def _ask(parts: Parts, session: Session, key: str, kind: CommandKind, given: BaseModel) -> Response:
    arguments = {name: words for name, words in given.model_dump(mode="json").items() if words}
    try:
        asked = ask_in_name_of(parts, session, Door.API, key, kind, arguments)
    except KeyReused as fault:
        raise Problem(422, "key-reused", str(fault)) from None
    headers = {"Location": f"{PREFIX}/commands/{asked['command_id']}", "Cache-Control": "no-store"}
    return Response(written(asked), 202, headers, "application/json")
