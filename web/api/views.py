"""Routes that put several tables together: overview, gates of a rule, why a signal, a day, users."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from adapters.db.engine import begin
from adapters.db.repos.overview import read_overview
from adapters.db.repos.report import explain_signal, read_day_report
from adapters.db.repos.rules import newest_as_of, read_adverse_funnel, read_funnel, why_rule
from adapters.db.repos.users import read_users
from propdesk.model.enums import GateProfile
from propdesk.model.user import UserRole
from web.api.answers import answer
from web.api.guard import protected
from web.api.parts import Parts
from web.api.schemas import problems

_TEXT: Final = r"^[^\x00]{1,200}$"
"""PostgreSQL keeps no NUL character."""
_Rule = Annotated[
    str, Query(pattern=_TEXT, description="Name of the rule.", examples=["MINI|A01|NSE_EQ|INTRADAY"])
]
_AsOf = Annotated[date | None, Query(description="Day at whose end the rules stand; the newest by default.")]
_Signal = Annotated[
    str, Path(pattern=_TEXT, description="Id of a signal, or its beginning.", examples=["3f2a9c01"])
]
Number = float | str | None
"""The words Infinity and -Infinity stand for what JSON cannot say."""


class Heartbeat(BaseModel):
    """Last sign of life of a component."""

    component: str
    beat_at: datetime
    pid: int
    age_s: float


class Readiness(BaseModel):
    """What pre-market did for the newest day it knows."""

    trade_date: date
    is_ready: bool
    ready_at: datetime | None
    ruleset_version: str | None
    opening_corpus_paise: int | None


class Corpus(BaseModel):
    """Capital of all pools, paise."""

    total_paise: int
    free_paise: int
    deployed_paise: int


class Day(BaseModel):
    """Result of the newest traded day, paise."""

    trade_date: date
    legs: int
    legs_open: int
    gross_pnl_paise: int
    charges_paise: int
    net_pnl_paise: int


class RiskLevel(BaseModel):
    """A kill level that stands."""

    scope: str
    level: str
    severity: int
    cause: str
    actor: str
    reason: str
    raised_ns: int


class Overview(BaseModel):
    """The account at a glance; what was never there is null."""

    account_id: str
    now: datetime = Field(description="Ages are counted to this.")
    heartbeats: list[Heartbeat]
    readiness: Readiness | None
    corpus: Corpus | None
    open_groups: int
    day: Day | None
    risk_levels: list[RiskLevel]
    newest_as_of: date | None = Field(description="Newest day of the rules.")
    last_upload_at: datetime | None


class Gate(BaseModel):
    """A gate of a rule."""

    gate: str
    value: Number
    threshold: Number
    passed: bool


class Verdict(BaseModel):
    """Why a rule may trade or not, under both profiles."""

    rule_text: str
    level: str
    as_of_date: date
    n: int
    post_mean_r: Number
    prob_edge: Number
    is_judged: bool = Field(description="False: below half its minimum of trades nothing else is computed.")
    gates: dict[GateProfile, list[Gate]]
    adverse_gates: dict[GateProfile, list[Gate]] = Field(
        description="Gates of the same cell as a rule against its advisor, reverse_q among them; empty "
        "lists where it has no mean loss."
    )


class FunnelLine(BaseModel):
    """What a gate stops."""

    gate: str
    failed: int
    failed_alone: int
    trades: int


class Funnel(BaseModel):
    """What each gate stops, in their order."""

    as_of_date: date
    profile: GateProfile
    lines: list[FunnelLine]
    adverse_lines: list[FunnelLine] = Field(description="Of the cells with a mean loss, as reverse rules.")


class Explanation(BaseModel):
    """Everything the books know about a signal; rows as the tables hold them."""

    signal_id: str
    account_id: str
    documents: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    legs: list[dict[str, Any]]
    intents: list[dict[str, Any]]
    trades: list[dict[str, Any]]
    crowd: list[dict[str, Any]]


class DecisionCount(BaseModel):
    """How many signals ended by one reason."""

    code: str
    count: int


class Report(BaseModel):
    """A day of the account: decisions by reason (most frequent first), trades, result, crowd."""

    model_config = ConfigDict(extra="forbid")

    account_id: str
    trade_date: date
    signals: int
    rejected_documents: int
    decisions: list[DecisionCount]
    trades: list[dict[str, Any]]
    gross_pnl_paise: int
    charges_paise: int
    net_pnl_paise: int
    corpus_paise: int | None
    crowd: list[dict[str, Any]]
    journal_rows: int
    journal_hash: str


class Person(BaseModel):
    """A user."""

    login: str
    role: UserRole
    is_disabled: bool
    created_at: datetime
    created_by: str
    password_set_at: datetime
    last_login_at: datetime | None


class People(BaseModel):
    """Every user, by login."""

    items: list[Person]


def views_router(parts: Parts) -> APIRouter:
    """Make the routes."""
    router = APIRouter(tags=["views"])
    viewer = protected(parts, UserRole.VIEWER)

    @router.get("/overview", response_model=Overview, responses=problems(401, 422, 503), **viewer)
    def overview(request: Request) -> Response:
        """Show whether the desk is alive, ready, within its limits, and how it stands."""
        with begin(parts.reader) as connection:
            return answer(request, read_overview(connection, parts.account_id, parts.now()))

    @router.get("/days/{day}/report", response_model=Report, responses=problems(401, 422, 503), **viewer)
    def day_report(
        request: Request, day: Annotated[date, Path(description="Market day.", examples=["2025-07-01"])]
    ) -> Response:
        """Tell what a day came to; zeros and empty lists where nothing happened."""
        with begin(parts.reader) as connection:
            report = asdict(read_day_report(connection, parts.account_id, day))
        counts = [{"code": code, "count": count} for code, count in report["decisions"]]
        return answer(request, {**report, "decisions": counts})

    @router.get(
        "/signals/{signal_id}/why",
        response_model=Explanation,
        responses=problems(401, 403, 404, 422, 503),
        **protected(parts, UserRole.TRADER),
    )
    def why_signal(request: Request, signal_id: _Signal) -> Response:
        """Explain what became of a signal and why: document, decision, legs, orders, fills."""
        with begin(parts.reader) as connection:
            return answer(request, explain_signal(connection, parts.account_id, signal_id))

    @router.get(
        "/users",
        response_model=People,
        responses=problems(401, 403, 422, 503),
        **protected(parts, UserRole.ADMIN),
    )
    def users(request: Request) -> Response:
        """Show every user with role and last login."""
        with begin(parts.access) as connection:
            return answer(request, {"items": [asdict(user) for user in read_users(connection)]})

    _add_rule_views(router, parts, viewer)
    return router


def _add_rule_views(router: APIRouter, parts: Parts, viewer: dict[str, Any]) -> None:
    @router.get("/rules/why", response_model=Verdict, responses=problems(401, 404, 422, 503), **viewer)
    def why(request: Request, rule: _Rule, as_of: _AsOf = None) -> Response:
        """Show every gate of a rule, with and against its advisor: value, threshold, verdict."""
        with begin(parts.reader) as connection:
            verdict = why_rule(connection, rule, as_of or newest_as_of(connection))
        kinds = {"gates": verdict.gates, "adverse_gates": verdict.adverse}
        gates = {
            name: {profile.value: [asdict(gate) for gate in found] for profile, found in kind.items()}
            for name, kind in kinds.items()
        }
        shown = {name: getattr(verdict, name) for name in Verdict.model_fields if name not in kinds}
        return answer(request, {**shown, **gates})

    @router.get("/rules/funnel", response_model=Funnel, responses=problems(401, 404, 422, 503), **viewer)
    def funnel(
        request: Request,
        profile: Annotated[GateProfile, Query(description="Gate profile.")],
        as_of: _AsOf = None,
    ) -> Response:
        """Count what each gate stops, of the rules with and against an advisor."""
        with begin(parts.reader) as connection:
            day = as_of or newest_as_of(connection)
            found = {
                "lines": read_funnel(connection, day, profile),
                "adverse_lines": read_adverse_funnel(connection, day, profile),
            }
        lines = {name: [asdict(line) for line in rows] for name, rows in found.items()}
        return answer(request, {"as_of_date": day, "profile": profile.value, **lines})
