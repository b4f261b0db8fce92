"""The order path through drawn schedules, through every crash point, and with bugs planted in it."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from campaign import sweep as sweeps
from campaign.fate import Ending, Fate
from campaign.loop import Stuck
from campaign.planted import BUGS, Planted, is_caught, planted
from campaign.points import POINTS
from campaign.run import Outcome, run_schedule
from campaign.schedule import At, Schedule, make_schedule
from campaign.tally import Tally, tally_of
from sandbox.faults import FaultKind

SCHEDULES = 6
"""As many as a run of the suite may spend; `propdesk prove --quick` runs thousands."""

REACHED = (
    ("C1", 1),
    ("C2", 1),
    ("C3", 1),
    ("C4", 1),
    ("C5", 1),
    ("C6", 1),
    ("C7", 1),
    ("C8", 5),
    ("C9", 2),
    ("C10", 1),
    ("C11", 9),
    ("C12", 1),
    ("C13", 3),
    ("C14", 3),
    ("C15", 12),
    ("C16", 2),
    ("C17", 1),
    ("C18", 2),
    ("C20", 19),
    ("C22", 1),
    ("C23", 1),
)
"""Each crash point with a schedule that comes to it."""


def test_no_promise_breaks_in_drawn_schedules(seed: int) -> None:
    tally = Tally()
    for number in range(SCHEDULES):
        tally.add(run_schedule(make_schedule(1_000 * seed + number)))
    assert not tally.failed, f"propdesk prove --seed N: {tally.failures}"
    assert tally.counts["decision TRADED"] > SCHEDULES / 2, "too little was traded to prove anything"
    assert tally.lives > SCHEDULES, "nobody died"
    assert len(tally.faults) > 3, "too little went wrong"


def test_what_one_order_sold_twice_of_another_is_settled_without_a_refused_loop() -> None:
    """Seed 103: both exits of one of three orders fill, while a second rests and a third is guarded."""
    outcome = run_schedule(make_schedule(103), keeps_trace=True)
    assert not outcome.broken
    assert not [words for words in outcome.trace if "Dhan shows no position" in words]


def test_dripping_books_leave_nothing_bare_for_long() -> None:
    """Seed 108: five answers drip in while a stop is rejected."""
    outcome = run_schedule(make_schedule(108))
    assert outcome.faults["SLOW_DRIP"] == 5
    assert not outcome.broken
    assert outcome.findings.longest_naked_s < 4


def test_the_same_seed_gives_the_same_run_traced_or_not_and_another_one_another() -> None:
    death = (Fate("C7", 1, Ending.KILL, 1.0),)
    one, again, other = (
        run_schedule(replace(make_schedule(number), fates=death), keeps_trace=keeps)
        for number, keeps in ((2, False), (2, True), (12, False))
    )
    assert one.lives > 1, "a schedule without a death says little"
    assert (one.digest, one.lives, one.seconds) == (again.digest, again.lives, again.seconds)
    assert one.digest != other.digest
    assert not one.trace, "a trace was kept that nobody asked for"
    assert any("truth ORDER" in line for line in again.trace)


@pytest.mark.parametrize(("point", "seed"), REACHED)
def test_a_death_at_each_crash_point_breaks_nothing(point: str, seed: int) -> None:
    ending = Ending.FREEZE if point == "C23" else Ending.KILL
    schedule = replace(make_schedule(seed), fates=(Fate(point, 1, ending, 6.0 if point == "C23" else 1.0),))
    outcome = run_schedule(schedule)
    assert outcome.points.get(point), f"{point} was not reached"
    assert not outcome.broken


def test_every_crash_point_is_tried() -> None:
    assert [point for point, _ in REACHED] == list(POINTS)


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_a_planted_bug_is_caught(bug: Planted) -> None:
    with planted(bug):
        outcome = run_schedule(bug.schedule(bug.seed))
    assert is_caught(bug, outcome), outcome.broken


def test_schedules_hold_every_kind_of_fault_and_all_sorts_of_ends() -> None:
    kinds, endings = set(), set()
    for seed in range(150):
        schedule = make_schedule(seed)
        kinds |= {act.value.kind for act in schedule.acts if act.what == "fault"}
        endings |= {fate.ending for fate in schedule.fates}
    assert endings == set(Ending)
    assert {FaultKind.TIME_OUT, FaultKind.STOP_MISSING, FaultKind.LIST_EMPTY, FaultKind.STREAM_MUTE} <= kinds
    assert len(kinds) == 28


class HerePool:
    """Does the work of a pool at once, in this process."""

    def submit(self, work: Callable[..., Tally], *args: int) -> Future[Tally]:
        done: Future[Tally] = Future()
        done.set_result(work(*args))
        return done

    def shutdown(self, **words: bool) -> None:
        """Do nothing."""


def test_a_sweep_goes_on_where_it_was_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "CHUNK", 1)
    monkeypatch.setattr(sweeps, "ProcessPoolExecutor", lambda *_args, **_words: HerePool())
    file, kept = tmp_path / "prove" / "full.json", sweeps.Progress("code", 5)
    sweeps.sweep(kept, 1, jobs=1, keep=lambda found: sweeps.save(file, found))
    found = sweeps.load(file, "code", 5)
    assert (found.done, found.tally.schedules) == ([5], 1)
    told: list[int] = []
    sweeps.sweep(found, 1, jobs=1, tell=lambda tally: told.append(tally.schedules))
    assert not told, "what is done was run again"
    assert sweeps.load(file, "other code", 5).done == []
    assert sweeps.load(tmp_path / "none.json", "code", 5).done == []


def test_a_schedule_that_cannot_be_run_is_a_failure_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(schedule: Schedule) -> Outcome:
        if schedule.seed == 8:
            raise Stuck("nothing is ready")
        return run_schedule(schedule)

    monkeypatch.setattr(sweeps, "run_schedule", stuck)
    tally = sweeps.run_chunk(7, 3)
    assert (tally.schedules, tally.failed) == (3, 1)
    assert tally.failures == [(8, "not run to its end: Stuck: nothing is ready")]


def test_no_login_by_a_wrong_clock_is_meant_so() -> None:
    made = make_schedule(1)
    wrong = (At(2.0, "step", 3_600.0), At(2.5, "token_revoke"))
    acts = tuple(sorted((*(a for a in made.acts if a.what != "step"), *wrong), key=lambda act: act.at_s))
    outcome = run_schedule(replace(made, acts=acts), keeps_trace=True)
    assert any("clock is 3600 s off" in line for line in outcome.trace), "nobody was refused"
    assert not outcome.broken


def test_figures_come_back_as_they_were_kept() -> None:
    tally = Tally()
    tally.add(run_schedule(make_schedule(3)))
    assert tally_of(tally.plain()) == tally
    both = tally_of(tally.plain())
    both.merge(tally)
    assert (both.schedules, both.lives) == (2, 2 * tally.lives)
    assert np.isclose(both.virtual_s, 2 * tally.virtual_s)
