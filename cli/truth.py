"""``propdesk truth``: what steps, gates and matching make of advisors whose skill is known (§8.3)."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.interrupt import ending_on_sigterm
from cli.output import EXIT_FAILURE, JsonOption, emit, parse_day, progress_console, say, show_table

if TYPE_CHECKING:
    from adapters.settings import Settings
    from cli.truth_world import Request
    from propdesk.sim.truth import SeedFigures
    from propdesk.sim.truth_summary import Estimate, NullSummary, PowerRow, ProfileSummary, TruthSummary

_PERCENT: Final = 100.0
_Unit = tuple[int, bool]
"""A seed, and whether its advisors have skill."""


def register(app: typer.Typer) -> None:
    """Add the command of this area."""
    app.command()(truth)


def truth(
    seeds: Annotated[int, typer.Option(min=1, max=1_000, help="Markets to judge.")] = 20,
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first one.")] = 1,
    on_prices: Annotated[
        str, typer.Option(help="Price store of real prices; the generated market by default.")
    ] = "",
    first: Annotated[str, typer.Option(help="First day of the ideas.")] = "",
    last: Annotated[str, typer.Option(help="Last day of the ideas.")] = "",
    per_day: Annotated[int, typer.Option(min=1, max=20_000, help="Ideas a day.")] = 400,
    every: Annotated[int, typer.Option(min=1, max=60, help="Rules are made each so many market days.")] = 5,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes; each takes about 1.5 GB.")] = 2,
    out: Annotated[Path | None, typer.Option(help="Folder; default: <home>/truth.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Judge seeds again that were judged.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Judge advisors of known skill by both gate profiles, on many markets, and say how right they are."""
    from adapters.settings import load_settings
    from adapters.truth_sheet import render
    from cli.market import write_text
    from propdesk.sim.truth_summary import summarise

    settings = load_settings()
    request = _request(first, last, per_day, every, on_prices)
    folder = out or settings.home / "truth"
    asked = asked_of(request, settings)
    units = [(seed, flag) for seed in range(first_seed, first_seed + seeds) for flag in (True, False)]
    with ending_on_sigterm():
        figures = _judged(request, units, folder, asked, jobs, fresh=fresh)
    summary = summarise(figures)
    page = folder / "truth.html"
    write_text(page, [render(summary, _facts(request, units, asked))])
    if as_json:
        emit({"asked": asked, "seeds": seeds, "first_seed": first_seed, "page": page, **asdict(summary)})
    else:
        _show(summary)
        say(f"Page with plots: {page}")
    if any(one.holds is False for one in summary.acceptance):
        raise typer.Exit(EXIT_FAILURE)


def _request(first: str, last: str, per_day: int, every: int, on_prices: str) -> "Request":
    from cli.truth_world import Request

    # half a year, as the sample; of stored prices everything there is
    begin, end = (date.min, date.max) if on_prices else (date(2025, 1, 1), date(2025, 6, 30))
    return Request(
        parse_day(first, "--first") if first else begin,
        parse_day(last, "--last") if last else end,
        per_day,
        every,
        on_prices,
    )


def asked_of(request: "Request", settings: "Settings") -> dict[str, str]:
    """Say what figures depend on beside their seed: days and sizes, gates, and every setting of the steps."""
    from adapters.config_gates import load_gates
    from adapters.db.frames.rules import group_config
    from assets._shared.configs import duplicate_rule, trade_config

    gates = load_gates(settings.gates_file)
    steps = (
        group_config(settings, gates),
        duplicate_rule(settings),
        trade_config(settings),
        settings.default_receive_lag_s,
    )
    return {
        **{name: str(value) for name, value in asdict(request).items()},
        "gates": gates.version,
        "settings": hashlib.sha256(repr(steps).encode()).hexdigest()[:16],
    }


def _judged(
    request: "Request",
    units: Sequence[_Unit],
    folder: Path,
    asked: Mapping[str, Any],
    jobs: int,
    *,
    fresh: bool,
) -> "list[SeedFigures]":
    """Read what was judged before, judge the rest in processes of their own and keep it as it comes."""
    from cli.truth_store import file_of, read_figures, write_figures

    found: list[SeedFigures] = []
    todo: list[_Unit] = []
    for seed, is_planted in units:
        known = None if fresh else read_figures(file_of(folder, seed, is_planted=is_planted), asked)
        if known is None:
            todo.append((seed, is_planted))
        else:
            found += known
    if found:
        say(f"{len(units) - len(todo)} of {len(units)} worlds were judged before.")
    for (seed, is_planted), figures in _in_processes(request, todo, jobs, len(units)):
        write_figures(file_of(folder, seed, is_planted=is_planted), asked, figures)
        found += figures
    return found


def _in_processes(
    request: "Request", todo: Sequence[_Unit], jobs: int, total: int
) -> "Iterator[tuple[_Unit, list[SeedFigures]]]":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from cli.truth_world import judge_seed

    if not todo:
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    pool = ProcessPoolExecutor(min(jobs, len(todo)), mp_context=get_context("spawn"))
    try:
        with Progress(*columns, Remaining(), console=progress_console(), transient=True) as bar:
            task = bar.add_task("worlds", total=total, completed=total - len(todo))
            waiting: dict[Future[list[SeedFigures]], _Unit] = {
                pool.submit(judge_seed, request, seed, is_planted=flag): (seed, flag) for seed, flag in todo
            }
            for done in as_completed(waiting):
                yield waiting[done], done.result()
                bar.advance(task)
    finally:
        # what has not begun never does; what runs is waited for, so that it clears its folder away
        pool.shutdown(wait=True, cancel_futures=True)


def _facts(request: "Request", units: Sequence[_Unit], asked: Mapping[str, str]) -> dict[str, str]:
    seeds = sorted({seed for seed, _ in units})
    return {
        "market": request.on_prices or "generated",
        "days": f"{request.first} to {request.last}" if not request.on_prices else "all stored",
        "seeds": f"{seeds[0]} to {seeds[-1]}",
        "ideas a day": str(request.per_day),
        "rules made": f"every {request.every} market days",
        "gates": asked["gates"],
    }


def _show(summary: "TruthSummary") -> None:
    show_table(
        f"Accepted? Profile desk over {summary.seeds} seeds",
        ("condition", "value", "holds"),
        [
            (one.text, one.value if one.value == one.value else None, _HOLDS[one.holds])
            for one in summary.acceptance
        ],
    )
    for profile, found in summary.profiles.items():
        _show_profile(profile.value, found)
    _show_nulls(summary.nulls)
    show_table(
        "Mini rules of constant skill by prob_edge: how many truly exceed the hurdle",
        ("prob_edge", "rules", "true %"),
        [(f"{row.low:g} to {row.high:g}", row.rules, _share(row.true_share)) for row in summary.calibration],
    )
    known = [value for value in summary.spearman if value == value]
    middle = sum(known) / len(known) if known else None
    show_table(
        "Estimates",
        ("figure", "value"),
        [
            ("forward net R on post_mean_r, slope", _span(summary.slope)),
            ("Spearman, points and post_mean_r: mean", middle),
            ("lowest of all seeds", min(known, default=None)),
        ],
    )


_HOLDS: Final = {True: "yes", False: "NO", None: "not judged"}


def _show_profile(name: str, found: "ProfileSummary") -> None:
    show_table(
        f"Profile {name}: ideas taken once a window is full",
        ("advisors", "points", "number", "ideas", "taken %", "R of all", "R of taken", "found %", "days"),
        [_power_cells(row) for row in (*found.ladder, *found.kinds)],
    )
    show_table(
        f"Profile {name}",
        ("figure", "value"),
        [
            ("ideas taken of advisors without skill, %", _share(found.unskilled_taken)),
            ("rules whose advisor truly does not earn, %", _share(found.false_rules)),
            ("net R of an idea taken", _known(found.taken_r)),
            ("oracle, R per 100 ideas", _known(found.oracle_r)),
            ("regret, R per 100 ideas", _known(found.regret_r)),
            ("of the oracle's R earned, %", _share(found.captured)),
            ("rules by as-of date", _known(found.eligible)),
            ("reverse rules by as-of date", _known(found.adverse)),
            (
                "ideas reversed",
                ", ".join(f"{kind} {count}" for kind, count in found.reversed_ideas) or "none",
            ),
        ],
    )


def _show_nulls(nulls: "Iterable[NullSummary]") -> None:
    show_table(
        "Where there is nothing to find",
        ("world", "profile", "rules by as-of date", "of lucky advisors %", "ideas taken %"),
        [
            (
                one.world.value,
                one.profile.value,
                _span(one.rules),
                _known(_PERCENT * one.lucky_share),
                _share(one.taken),
            )
            for one in nulls
        ],
    )


def _power_cells(row: "PowerRow") -> tuple[object, ...]:
    return (
        row.name,
        f"{_PERCENT * row.points:+.1f}",
        row.advisors,
        row.ideas,
        _share(row.taken),
        _known(row.ideas_r),
        _known(row.taken_r),
        f"{_PERCENT * row.found_share:.0f}",
        None if row.days_to_detect != row.days_to_detect else round(row.days_to_detect),
    )


def _known(value: float) -> float | None:
    return None if value != value else value


def _share(estimate: "Estimate") -> str | None:
    return _text(estimate, _PERCENT, 1)


def _span(estimate: "Estimate") -> str | None:
    return _text(estimate, 1.0, 2)


def _text(estimate: "Estimate", factor: float, digits: int) -> str | None:
    if estimate.value != estimate.value:
        return None
    value, low, high = (
        f"{factor * number:.{digits}f}" for number in (estimate.value, estimate.low, estimate.high)
    )
    return value if estimate.low != estimate.low else f"{value} ({low} to {high})"
