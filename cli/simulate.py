"""``simulate`` and ``simulations``: past days under the rules of their eve, beside baselines (§4.8)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.database import open_transaction
from cli.interrupt import ending_on_sigterm
from cli.output import JsonOption, emit, parse_day, progress_console, say, show_table
from propdesk.core.errors import ConfigFault
from propdesk.core.money import format_inr

if TYPE_CHECKING:
    from datetime import date

    from adapters.db.repos.simulations import RunHead
    from adapters.settings import Settings
    from propdesk.sim.books import Book, CategoryFound
    from propdesk.sim.results import DayOutcome, Share, Summary
    from trading_daemon.simulation import Progress, SimulationRequest

_PAISE: Final = 100
_PERCENT: Final = 100.0
_SHARES_SHOWN: Final = 12
_APPLICATION: Final = "propdesk-simulations"
_RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Id of a stored simulation, or its beginning.")
]
_BookOption = Annotated[
    list[str] | None,
    typer.Option("--book", help="desk, original, everyone or random; repeat for several, default: all four."),
]
_OutOption = Annotated[
    Path | None, typer.Option("--out", help="Tear sheet (HTML); default: <home>/simulations/<run>.html.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    app.command()(simulate)
    stored = typer.Typer(no_args_is_help=True, help="Simulations that were run before.")
    stored.command("list")(list_stored)
    stored.command("show")(show_stored)
    app.add_typer(stored, name="simulations")


def simulate(
    first: Annotated[str, typer.Argument(metavar="FROM", help="First day; drawn in to a market day.")],
    last: Annotated[str, typer.Argument(metavar="TO", help="Last day; drawn in to a market day.")],
    profile: Annotated[
        str | None, typer.Option("--profile", help="Gate profile of the offer: desk or original.")
    ] = None,
    book: _BookOption = None,
    advisor: Annotated[
        list[str] | None, typer.Option("--advisor", help="Only rules of this advisor may trade; repeatable.")
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option("--category", help="Only rules of this category, baselines too; repeatable."),
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option("--rule", help="Only this rule, by its text; repeatable.")
    ] = None,
    capital: Annotated[
        int | None, typer.Option("--capital", min=1, help="Corpus of each desk, rupees.")
    ] = None,
    allocate: Annotated[
        list[str] | None,
        typer.Option("--allocate", help="Share of the corpus, e.g. NSE_EQ=0.4; the others keep theirs."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of the random desk.")] = None,
    out: _OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trade past days anew, each under the rules of the day before, beside two baselines."""
    from adapters.clock import SystemClock
    from adapters.settings import load_settings
    from propdesk.model.enums import Category
    from propdesk.sim.books import Book, RuleChoice
    from trading_daemon.simulation import SimulationRequest, rules_on_offer, simulate_stored

    settings = _settings(load_settings(), profile, capital, allocate or ())
    categories = frozenset(_members(Category, category, "--category"))
    request = SimulationRequest(
        first=parse_day(first, "FROM"),
        last=parse_day(last, "TO"),
        books=_members(Book, book, "--book") or tuple(Book),
        choice=RuleChoice(frozenset(advisor or ()), categories, frozenset(rule or ())),
        seed=settings.seed if seed is None else seed,
    )
    as_of, offered = rules_on_offer(settings, request)
    if not as_json:
        _show_offer(settings.gate_profile, as_of, offered)
    with ending_on_sigterm(), _Bar(request) as told:
        run_id = simulate_stored(settings, request, SystemClock(), told.advance)
    _report(settings, run_id, out, as_json=as_json)


def list_stored(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="The newest so many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the simulations of the account, the newest first."""
    from adapters.db.repos.simulations import list_runs
    from adapters.settings import load_settings

    settings = load_settings()
    with open_transaction(settings, "reader", _APPLICATION) as connection:
        runs = list_runs(connection, settings.account_id, limit)
    if as_json:
        emit({"account_id": settings.account_id, "runs": [_head_json(run) for run in runs]})
        return
    show_table(
        f"Simulations of account {settings.account_id}",
        ("run", "state", "begun", "from", "to", "desks", "days"),
        [
            (
                run.run_id,
                run.state,
                f"{run.begun_at:%Y-%m-%d %H:%M}",
                run.request["first"],
                run.request["last"],
                ", ".join(run.request["books"]),
                f"{run.days_done} of {run.days_total}",
            )
            for run in runs
        ],
    )


def show_stored(run: _RunArgument, out: _OutOption = None, as_json: JsonOption = False) -> None:
    """Report a stored simulation again and write its tear sheet."""
    from adapters.settings import load_settings

    _report(load_settings(), run, out, as_json=as_json)


# -------------------------------------------------------------------------------------------------- asking


def _settings(
    settings: "Settings", profile: str | None, capital: int | None, allocate: Sequence[str]
) -> "Settings":
    """Put what was asked in the place of the account's settings, under the same checks."""
    from pydantic import ValidationError

    changed: dict[str, object] = {}
    if profile is not None:
        changed["gate_profile"] = profile
    if capital is not None:
        changed["corpus_paise"] = capital * _PAISE
    if allocate:
        changed["category_allocations"] = {
            **settings.category_allocations,
            **dict(map(_allocation, allocate)),
        }
    try:
        return settings.model_validate({**dict(settings), **changed}) if changed else settings
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "--allocate"
        raise ConfigFault(f"{name}: {first['msg']}.") from None


def _allocation(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    try:
        return name, float(share)
    except ValueError:
        raise ConfigFault(f"--allocate: {text!r} is no share; write it like NSE_EQ=0.4.") from None


def _members(kind: Any, words: Sequence[str] | None, option: str) -> "tuple[Any, ...]":
    """Read the members of an enumeration, each once, in its own order."""
    known = {member.value: member for member in kind}
    for word in words or ():
        if word not in known:
            raise ConfigFault(f"{option}: there is no {word!r}; use {', '.join(known)}.")
    return tuple(member for name, member in known.items() if name in (words or ()))


class _Bar:
    """Show the days done, the time left, and where the first desk stands."""

    def __init__(self, request: "SimulationRequest") -> None:
        from adapters.calendar import load_calendar

        self._total = len(request.market_days(load_calendar()))
        self._first = request.books[0]

    def __enter__(self) -> "_Bar":
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("days"),
            TimeRemainingColumn(), console=progress_console(), transient=True,
        )  # fmt: skip
        self._bar.start()
        self._task = self._bar.add_task("Reading the first day", total=self._total)
        return self

    def advance(self, progress: "Progress") -> None:
        """Take note of a day."""
        corpus = format_inr(progress.outcomes[self._first].closing_paise, decimals=0)
        text = f"{progress.day}, {self._first.value} {corpus}"
        self._bar.update(self._task, description=text, completed=progress.done)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


# ----------------------------------------------------------------------------------------------- reporting


def _report(settings: "Settings", prefix: str, out: Path | None, *, as_json: bool) -> None:
    """Read a stored run, write its sheet and show it."""
    from adapters.db.repos.simulations import read_days, read_run
    from adapters.tear_sheet import Sheet, render

    with open_transaction(settings, "reader", _APPLICATION) as connection:
        head = read_run(connection, settings.account_id, prefix)
        days = read_days(connection, settings.account_id, head.run_id)
    if not days:
        raise ConfigFault(f"Simulation {head.run_id} holds no day yet.")
    path = out or settings.home / "simulations" / f"{head.run_id}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    title = f"Simulation {head.request['first']} to {head.request['last']}"
    path.write_text(render(Sheet(title, _facts(head), head.capital_paise, days)), encoding="utf-8")
    if as_json:
        emit({**_head_json(head), "desks": _desks_json(days, head.capital_paise), "sheet": path})
    else:
        _show(days, head.capital_paise)
        silent = [day.trade_date for day in next(iter(days.values())) if not day.decisions]
        if silent:
            say(f"{len(silent)} days hold no idea, the first {silent[0]}: were their signals ingested?")
        say(f"Run {head.run_id} ({head.state}), tear sheet: {path}")


def _facts(head: "RunHead") -> dict[str, str]:
    asked = head.request
    chosen = [*asked["categories"], *asked["advisors"], *asked["rules"]]
    shares = asked["settings"]["category_allocations"]
    return {
        "run": f"{head.run_id} ({head.state}, {head.days_done} of {head.days_total} days)",
        "capital": f"{format_inr(head.capital_paise, decimals=0)} INR each",
        "allocations": ", ".join(f"{name} {share:.0%}" for name, share in shares.items()),
        "chosen": ", ".join(chosen) or "all rules",
        "sizes": asked["settings"]["size_model"],
        "seed": str(asked["seed"]),
    }


def _head_json(head: "RunHead") -> dict[str, object]:
    return {
        "run_id": head.run_id,
        "state": head.state,
        "begun_at": head.begun_at,
        "ended_at": head.ended_at,
        "request": head.request,
        "capital": head.capital_paise / _PAISE,
        "days_total": head.days_total,
        "days_done": head.days_done,
        "message": head.message,
    }


def _desks_json(days: "Mapping[Book, Sequence[DayOutcome]]", capital_paise: int) -> dict[str, object]:
    from propdesk.sim.results import attribute, monthly_returns, rule_of, run_digest, summarise

    found: dict[str, object] = {}
    for book, own in days.items():
        trades = [trade for day in own for trade in day.trades]
        found[book.value] = {
            **_summary_json(summarise(own, capital_paise)),
            "digest": run_digest(own),
            "days": [
                {
                    "day": day.trade_date,
                    "rules_of": day.rules_of,
                    "ruleset_version": day.ruleset_version,
                    "corpus": day.closing_paise / _PAISE,
                    "marked": day.marked_paise / _PAISE,
                    "trades": len(day.trades),
                    "decisions": day.decisions,
                    "switches": day.switches,
                }
                for day in own
            ],
            "months_pct": {
                f"{year}-{month:02}": value * _PERCENT
                for (year, month), value in monthly_returns(own, capital_paise).items()
            },
            "rules": [_share_json(share) for share in attribute(trades, rule_of)],
        }
    return found


def _summary_json(summary: "Summary") -> dict[str, object]:
    return {
        "final_corpus": summary.final_paise / _PAISE,
        "marked_corpus": summary.marked_paise / _PAISE,
        "return_pct": summary.return_ratio * _PERCENT,
        "mdd_pct": summary.mdd_ratio * _PERCENT,
        "marked_mdd_pct": summary.marked_mdd_ratio * _PERCENT,
        "sharpe": summary.sharpe,
        "sharpe_se": summary.sharpe_se,
        "sortino": summary.sortino,
        "calmar": summary.calmar,
        "ideas": summary.ideas,
        "ideas_traded": summary.traded,
        "trades": summary.trades,
        "win_pct": summary.win_ratio * _PERCENT,
        "profit_factor": summary.profit_factor,
        "mean_r": summary.mean_r,
        "gross_pnl": summary.gross_pnl_paise / _PAISE,
        "charges": summary.charges_paise / _PAISE,
        "net_pnl": summary.net_pnl_paise / _PAISE,
        "peak_utilisation_pct": summary.peak_utilisation_ratio * _PERCENT,
        "open_at_end": summary.open_at_end,
        "switch_days": summary.switch_days,
    }


def _share_json(share: "Share") -> dict[str, object]:
    return {
        "rule": share.name,
        "trades": share.trades,
        "wins": share.wins,
        "mean_r": share.mean_r,
        "gross_pnl": share.gross_pnl_paise / _PAISE,
        "charges": share.charges_paise / _PAISE,
        "net_pnl": share.net_pnl_paise / _PAISE,
    }


def _show_offer(profile: str, as_of: "date", offered: "Sequence[CategoryFound]") -> None:
    show_table(
        f"Rules at the end of {as_of}, the day before the first, profile {profile}",
        ("category", "rules", "eligible", "reverse", "advisors", "post R of the eligible"),
        [
            (one.category.value, one.rules, one.eligible, one.adverse, one.advisors, one.mean_post_r)
            for one in offered
        ],
    )


def _show(days: "Mapping[Book, Sequence[DayOutcome]]", capital_paise: int) -> None:
    from adapters.tear_sheet import SUMMARY_ROWS, summary_cells, what_compares
    from propdesk.sim.results import attribute, rule_of, summarise

    cells = [summary_cells(summarise(own, capital_paise)) for own in days.values()]
    some = next(iter(days.values()))
    show_table(
        f"{some[0].trade_date} to {some[-1].trade_date}, {len(some)} market days",
        ("", *(book.value for book in days)),
        [(name, *(row[number] for row in cells)) for number, name in enumerate(SUMMARY_ROWS)],
    )
    if hint := what_compares(days):
        say(hint)
    book, own = next(iter(days.items()))
    shares = attribute((trade for day in own for trade in day.trades), rule_of)
    show_table(
        f"What each rule of {book.value} brought: the best of {len(shares)}",
        ("rule", "legs", "won", "mean R", "charges INR", "net INR"),
        [
            (s.name, s.trades, s.wins, s.mean_r, format_inr(s.charges_paise), format_inr(s.net_pnl_paise))
            for s in shares[:_SHARES_SHOWN]
        ],
    )
