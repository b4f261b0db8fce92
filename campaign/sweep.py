"""Many schedules in several processes, taken up again where a sweep was broken off."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from campaign.run import run_schedule
from campaign.schedule import make_schedule
from campaign.tally import Tally, tally_of

CHUNK: Final = 20
"""Schedules of one piece of work."""
_CODE: Final = ("propdesk", "adapters", "trading_daemon", "sandbox", "campaign", "config")


def run_chunk(first_seed: int, count: int) -> Tally:
    """Run schedules of seeds that follow one another; one that cannot be run to its end has failed."""
    tally = Tally()
    for seed in range(first_seed, first_seed + count):
        try:
            outcome = run_schedule(make_schedule(seed))
        except Exception as fault:
            tally.add_lost(seed, f"not run to its end: {type(fault).__name__}: {fault}")
        else:
            tally.add(outcome)
    return tally


@dataclass(slots=True)
class Progress:
    """How far a sweep is: pieces done, by the first seed of each, and their figures."""

    code: str
    first_seed: int
    done: list[int] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


def sweep(
    progress: Progress,
    schedules: int,
    *,
    jobs: int,
    seconds: float | None = None,
    keep: Callable[[Progress], None] = lambda _progress: None,
    tell: Callable[[Tally], None] = lambda _tally: None,
) -> Tally:
    """Run what is left of a sweep.

    Parameters
    ----------
    progress : Progress
        Grows with every piece.
    schedules : int
        How many in all; rounded up to whole pieces.
    jobs : int
        Processes.
    seconds : float, optional
        After which no further piece is begun.
    keep, tell : callable
        Told after each piece.
    """
    starts = range(progress.first_seed, progress.first_seed + schedules, CHUNK)
    known = set(progress.done)
    todo = (start for start in starts if start not in known)
    deadline = None if seconds is None else time.monotonic() + seconds
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        for start, tally in _pieces(pool, todo, jobs, deadline):
            progress.done.append(start)
            progress.tally.merge(tally)
            keep(progress)
            tell(progress.tally)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return progress.tally


def _pieces(
    pool: ProcessPoolExecutor, todo: Iterator[int], jobs: int, deadline: float | None
) -> Iterator[tuple[int, Tally]]:
    """Keep every process busy, and no more waiting than that: a sweep may end at any moment."""
    waiting: dict[Future[Tally], int] = {}
    while True:
        while len(waiting) < jobs and (deadline is None or time.monotonic() < deadline):
            start = next(todo, None)
            if start is None:
                break
            waiting[pool.submit(run_chunk, start, CHUNK)] = start
        if not waiting:
            return
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for one in done:
            yield waiting.pop(one), one.result()


def code_digest(root: Path) -> str:
    """Name the code that a sweep is about: figures of another one are not added to it."""
    digest = hashlib.sha256()
    for package in _CODE:
        for file in sorted((root / package).rglob("*")):
            if file.suffix in (".py", ".yaml", ".csv", ".toml") and file.is_file():
                digest.update(file.relative_to(root).as_posix().encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def load(file: Path, code: str, first_seed: int) -> Progress:
    """Take a sweep of the same code and seeds up again; else begin one."""
    try:
        plain: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Progress(code, first_seed)
    if (plain.get("code"), plain.get("first_seed")) != (code, first_seed):
        return Progress(code, first_seed)
    return Progress(code, first_seed, list(plain["done"]), tally_of(plain["tally"]))


def save(file: Path, progress: Progress) -> None:
    """Keep how far a sweep is, in one step."""
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = {
        "code": progress.code,
        "first_seed": progress.first_seed,
        "done": progress.done,
        "tally": progress.tally.plain(),
    }
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(plain), encoding="utf-8")
    fresh.replace(file)
