"""What dated files say about many keys, merged into closed intervals: the same history in whatever order.

An instrument master, a bhavcopy or a table of lot sizes is true on its day. The history keeps, per key,
*runs*: a value, the first and last file day on which a file carried it, and the file days in between on which
it was lacking. How long a run holds follows from the runs and from the days on which the source had a file at
all. A correction is the exception to the order: it takes its day from the files loaded before it.
"""

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Generic, TypeVar

from propdesk.core.invariant import require

OPEN_END = date(9999, 12, 31)
"""valid_to of what holds until further notice."""

V = TypeVar("V")


class Coverage(StrEnum):
    """What it means that a file lacks a key.

    ``LISTED``: the file lists everything, so what it lacks has ended. ``TRADED``: the file names what traded
    that day; what it lacks may be back tomorrow and has ended only if no later file names it.
    """

    LISTED = "LISTED"
    TRADED = "TRADED"


@dataclass(frozen=True, slots=True)
class Run(Generic[V]):
    """A value and the closed range of file days that carried it.

    Attributes
    ----------
    until : date
        The value cannot hold longer than this, whatever files say (a contract's expiry).
    lacking : tuple of date
        File days within the range whose file did not name the key, rising. The value carries on over them,
        but no part of the run may begin or end there.
    """

    value: V
    first_seen: date
    last_seen: date
    until: date = OPEN_END
    lacking: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class Contradiction(Generic[V]):
    """A file names another value, or none any more, for a day that a file had fixed before."""

    key: str
    fixed: V
    named: V | None


@dataclass(frozen=True, slots=True)
class Merged(Generic[V]):
    """History after a file.

    Attributes
    ----------
    runs : dict of str to list of Run
        Every key, its runs rising and apart.
    days : list of date
        Days with a file, this one included, rising.
    contradictions : list of Contradiction
        Values that stayed as they were fixed; for a revision those that were replaced.
    count_new : int
        Named values that began a run.
    """

    runs: dict[str, list[Run[V]]]
    days: list[date]
    contradictions: list[Contradiction[V]]
    count_new: int


def merge_file(
    history: Mapping[str, Sequence[Run[V]]],
    named: Mapping[str, Run[V]],
    days: Sequence[date],
    day: date,
    coverage: Coverage,
    *,
    revise: bool = False,
) -> Merged[V]:
    """Merge what one file says about its day.

    Parameters
    ----------
    history : mapping of str to sequence of Run
        What is known, per key, rising.
    named : mapping of str to Run
        What the file carries; only ``value`` and ``until`` count.
    days : sequence of date
        Days with an earlier loaded file of this source, rising.
    day : date
        The file's day; it may lie before days known already.
    revise : bool
        The file corrects a day that was fixed: it takes the place of the earlier file whole.

    Returns
    -------
    Merged
        No day that an earlier file fixed reads differently, unless ``revise``. Without revisions the
        files of different days give the same history in any order.
    """
    fixed = day in days
    known = sorted({*days, day})
    runs: dict[str, list[Run[V]]] = {key: list(rows) for key, rows in history.items()}
    contradictions: list[Contradiction[V]] = []
    count_new = 0
    for key in [*named, *(key for key in runs if key not in named)]:
        rows = runs.get(key, [])
        place = next((i for i, run in enumerate(rows) if run.first_seen <= day <= run.last_seen), None)
        new = named.get(key)
        if place is not None:
            holding = rows[place]
            was = None if day in holding.lacking else holding.value
            said = None if new is None else new.value
            if was == said:
                continue
            if fixed and was is not None:
                if said is not None or revise:
                    contradictions.append(Contradiction(key, was, said))
                if not revise:
                    continue
            is_gap = said is None and coverage is Coverage.TRADED and not fixed
            parts = [_lacking(holding, day)] if is_gap else _without(holding, day, known)
            rows = [*rows[:place], *parts, *rows[place + 1 :]]
        if new is not None:
            rows, is_new = _with(rows, replace(new, first_seen=day, last_seen=day), known, coverage)
            count_new += is_new
        runs[key] = rows
    return Merged(runs, known, contradictions, count_new)


def intervals(
    rows: Sequence[Run[V]], days: Sequence[date], coverage: Coverage
) -> list[tuple[date, date, Run[V]]]:
    """Say from when to when each run of one key holds.

    Parameters
    ----------
    rows : sequence of Run
        Runs of one key, rising.
    days : sequence of date
        Every day with a file, rising.

    Returns
    -------
    list of (valid_from, valid_to, Run)
        Closed intervals that do not overlap. A value holds until the day before the next file that names
        another one or, where files list everything, lacks the key.
    """
    found = []
    for run, later in itertools.zip_longest(rows, rows[1:]):
        after = bisect.bisect_right(days, run.last_seen)
        missed = days[after] if after < len(days) else None
        if coverage is Coverage.TRADED and later is not None:
            missed = later.first_seen
        elif coverage is Coverage.TRADED and run.until < OPEN_END:
            missed = None
        end = run.until if missed is None else min(run.until, missed - timedelta(days=1))
        found.append((run.first_seen, max(end, run.first_seen), run))
    return found


def as_known(rows: Sequence[Run[V]], days: Sequence[date], day: date) -> list[Run[V]]:
    """Take out of the runs of one key what only files of later days said.

    Parameters
    ----------
    rows : sequence of Run
        Runs of one key, rising.
    days : sequence of date
        Every day with a file, rising.
    day : date
        The last day whose files count.

    Returns
    -------
    list of Run
        As the files up to that day alone make them. What a dated row says of itself stays whole.
    """
    known = days[: bisect.bisect_right(days, day)]
    found = []
    for run in rows:
        if run.first_seen > day:
            continue
        if run.last_seen > day:
            lacking = set(run.lacking)
            seen = [one for one in known if one >= run.first_seen and one not in lacking]
            last = seen[-1] if seen else run.first_seen
            run = replace(run, last_seen=last, lacking=tuple(one for one in run.lacking if one < last))
        found.append(run)
    return found


def _lacking(run: Run[V], day: date) -> Run[V]:
    """Note that the file of a day within the run did not name the key."""
    if not run.first_seen < day < run.last_seen:
        return run  # A dated row was seen at its ends, though they need be no file days.
    return replace(run, lacking=tuple(sorted({*run.lacking, day})))


def _without(run: Run[V], day: date, known: Sequence[date]) -> list[Run[V]]:
    """Cut one file day out of a run; both parts end at days whose file carried the value."""
    lacking = set(run.lacking)
    within = known[bisect.bisect_left(known, run.first_seen) : bisect.bisect_right(known, run.last_seen)]
    seen = [one for one in within if one not in lacking]
    parts = []
    if run.first_seen < day:
        last = max((one for one in seen if one < day), default=run.first_seen)
        parts.append(replace(run, last_seen=last, lacking=tuple(d for d in run.lacking if d < last)))
    first = min((one for one in seen if one > day), default=None)
    if first is not None:
        parts.append(replace(run, first_seen=first, lacking=tuple(d for d in run.lacking if d > first)))
    return parts


def _with(
    rows: list[Run[V]], new: Run[V], known: Sequence[date], coverage: Coverage
) -> tuple[list[Run[V]], bool]:
    """Put a one-day run among runs that do not hold on its day; join it to equal neighbours."""
    at = bisect.bisect_left([run.first_seen for run in rows], new.first_seen)
    before, after = rows[:at], rows[at:]
    require(not before or before[-1].last_seen < new.first_seen, "runs of one key must stay apart")
    is_new = True
    if before and before[-1].value == new.value and _touch(before[-1], new, known, coverage):
        new, before, is_new = _joined(before[-1], new, known), before[:-1], False
    if after and after[0].value == new.value and _touch(new, after[0], known, coverage):
        new, after, is_new = _joined(new, after[0], known), after[1:], False
    return [*before, new, *after], is_new


def _joined(a: Run[V], b: Run[V], known: Sequence[date]) -> Run[V]:
    """Make one run of two that touch; files between them lacked the key."""
    between = known[bisect.bisect_right(known, a.last_seen) : bisect.bisect_left(known, b.first_seen)]
    lacking = (*a.lacking, *between, *b.lacking)
    return replace(a, last_seen=b.last_seen, until=max(a.until, b.until), lacking=lacking)


def _touch(a: Run[V], b: Run[V], known: Sequence[date], coverage: Coverage) -> bool:
    """Whether no file between two runs of a key lacks it; what merely did not trade bridges the gap."""
    between = bisect.bisect_left(known, b.first_seen) - bisect.bisect_right(known, a.last_seen)
    return coverage is Coverage.TRADED or between <= 0
