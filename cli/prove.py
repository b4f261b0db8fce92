"""``propdesk prove``: the order path under faults, deaths and wrong clocks (docs/reliability.md)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.interrupt import ending_on_sigterm
from cli.output import EXIT_FAILURE, JsonOption, emit, progress_console, say, show_table
from propdesk.core.errors import ConfigFault

if TYPE_CHECKING:
    from campaign.tally import Tally

_QUICK: Final = 10_000
_QUICK_MINUTES: Final = 4.0
_FULL: Final = 1_000_000
_HUNT: Final = 500
"""Schedules in which a planted bug must be caught."""


def register(app: typer.Typer) -> None:
    """Add the command of this area."""
    app.command()(prove)


def prove(
    quick: Annotated[
        bool, typer.Option("--quick", help="10000 schedules, or as many as four minutes allow.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="A million; goes on where it was broken off; kept in the docs.")
    ] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Run one schedule and show what happens.")] = None,
    planted: Annotated[
        bool, typer.Option("--planted", help="Plant known bugs and see that each is caught.")
    ] = False,
    schedules: Annotated[int | None, typer.Option(min=1, help="How many.")] = None,
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first one.")] = 1,
    minutes: Annotated[
        float | None, typer.Option(min=0.05, help="After which no further one begins.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 2,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget a full sweep that was broken off.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let the order path live through schedules of faults and deaths, and check every promise."""
    if [quick, full, planted, seed is not None].count(True) != 1:
        raise ConfigFault("prove: choose one of --quick, --full, --planted and --seed N.")
    if seed is not None:
        _one(seed, as_json=as_json)
    elif planted:
        _planted(range(first_seed, first_seed + (schedules or _HUNT)), as_json=as_json)
    else:
        _many(
            _Asked(full, schedules or (_FULL if full else _QUICK), first_seed, jobs, fresh),
            _QUICK_MINUTES if quick and minutes is None and schedules is None else minutes,
            as_json=as_json,
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    is_full: bool
    schedules: int
    first_seed: int
    jobs: int
    is_fresh: bool


def _many(asked: _Asked, minutes: float | None, *, as_json: bool) -> None:
    from adapters.settings import CLONE_ROOT, load_settings
    from campaign.sweep import Progress, code_digest, load, save, sweep

    code = code_digest(CLONE_ROOT)
    file = load_settings().home / "prove" / "full.json" if asked.is_full else None
    begun = Progress(code, asked.first_seed)
    progress = begun if file is None or asked.is_fresh else load(file, code, asked.first_seed)
    before = progress.tally.schedules
    if progress.done:
        say(f"{progress.tally.schedules} schedules were run before.")
    with ending_on_sigterm(), progress_console().status("no schedule is done yet") as status:
        tally = sweep(
            progress,
            asked.schedules,
            jobs=asked.jobs,
            seconds=None if minutes is None else minutes * 60,
            keep=(lambda _found: None) if file is None else (lambda found: save(file, found)),
            tell=lambda found: status.update(
                f"{found.schedules} of {asked.schedules}, {found.failed} failed"
            ),
        )
    if asked.is_full and tally.schedules > before:
        part = " (part)" if tally.schedules < asked.schedules else ""
        _append(CLONE_ROOT / "docs" / "reliability.md", tally, code + part)
    if as_json:
        emit({"code": code, "first_seed": asked.first_seed, **tally.plain()})
    else:
        _show(tally)
    if tally.failed:
        raise typer.Exit(EXIT_FAILURE)


def _planted(seeds: range, *, as_json: bool) -> None:
    """Look for every planted bug; 1 where one is not caught."""
    from campaign.planted import BUGS, hunt

    rows = []
    for bug in BUGS:
        caught = hunt(bug, seeds)
        rows.append(
            (bug.name, bug.words, caught.seed if caught else None, caught.broken[0] if caught else "")
        )
        say(f"{bug.name}: {'not caught' if caught is None else f'seed {caught.seed}'}")
    if as_json:
        emit({"bugs": [dict(zip(("name", "words", "seed", "broken"), row, strict=True)) for row in rows]})
    else:
        show_table("Planted bugs", ("bug", "what is wrong", "caught by seed", "broken"), rows)
    if any(seed is None for _, _, seed, _ in rows):
        raise typer.Exit(EXIT_FAILURE)


def _one(seed: int, *, as_json: bool) -> None:
    """Run one schedule; its trace goes to standard output."""
    from campaign.run import run_schedule
    from campaign.schedule import make_schedule

    outcome = run_schedule(make_schedule(seed), keeps_trace=True)
    if as_json:
        emit({"seed": seed, "digest": outcome.digest, "broken": outcome.broken, "trace": outcome.trace})
    else:
        for line in outcome.trace:
            typer.echo(line)
        say(f"seed {seed}: {outcome.lives} processes, {outcome.seconds:.0f} s, digest {outcome.digest}")
        for words in outcome.broken:
            say(f"broken: {words}")
    if outcome.broken:
        raise typer.Exit(EXIT_FAILURE)


def _show(tally: "Tally") -> None:
    show_table("Promises", ("figure", "value"), tally.figures())
    show_table("Deaths by crash point", ("point", "times"), sorted(tally.points.items()))
    show_table("Faults that struck", ("kind", "times"), sorted(tally.faults.items()))
    if tally.failures:
        show_table("Failed: propdesk prove --seed N shows one", ("seed", "broken"), tally.failures)


def _append(page: Path, tally: "Tally", code: str) -> None:
    """Add a sweep's figures to the page of reliability, as one row of its last table."""
    cells = [code, *(str(value) for _, value in tally.figures())]
    with page.open("a", encoding="utf-8") as file:
        file.write(f"| {' | '.join(cells)} |\n")
