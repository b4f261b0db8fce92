"""Figures of many schedules, added up."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from campaign.run import Outcome

PROMISES: Final = (
    "duplicates",
    "unprotected",
    "lost signals",
    "book differences",
    "reversed positions",
    "entries under a kill level",
    "kill level regressions",
    "stale-epoch calls",
    "unexplained entries",
    "altered calls",
    "lost follow-ups",
    "refused commands",
    "crashes",
    "no rest",
)
"""What must never happen, as `campaign.oracle` names it."""
_COUNTS: Final = ("counts", "points", "faults")
FAILURES_MAX: Final = 50
"""Failed seeds that are named one by one."""


@dataclass(slots=True)
class Tally:
    """What schedules came to together.

    Attributes
    ----------
    naked_unit_s : float
        Unit-seconds under no live stop beyond the promised two seconds, while a daemon was up and the broker
        answered.
    failures : list of (int, str)
        Seeds with their first broken promise.
    """

    schedules: int = 0
    failed: int = 0
    lives: int = 0
    virtual_s: float = 0.0
    naked_unit_s: float = 0.0
    longest_naked_s: float = 0.0
    slowest_recovery_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Take one schedule in."""
        found = outcome.findings
        self.merge(
            Tally(
                schedules=1,
                failed=int(bool(outcome.broken)),
                lives=outcome.lives,
                virtual_s=outcome.seconds,
                naked_unit_s=found.naked_unit_s,
                longest_naked_s=found.longest_naked_s,
                slowest_recovery_s=found.slowest_recovery_s,
                counts=Counter(found.counts),
                points=Counter(outcome.points),
                faults=Counter(outcome.faults),
                failures=[(outcome.seed, words) for words in outcome.broken[:1]],
            )
        )

    def add_lost(self, seed: int, words: str) -> None:
        """Take in a schedule that ended by an exception of its own."""
        self.merge(Tally(schedules=1, failed=1, failures=[(seed, words)]))

    def merge(self, other: "Tally") -> None:
        """Take in what was counted elsewhere; of the failures the lowest seeds are kept."""
        self.schedules += other.schedules
        self.failed += other.failed
        self.lives += other.lives
        self.virtual_s += other.virtual_s
        self.naked_unit_s += other.naked_unit_s
        self.longest_naked_s = max(self.longest_naked_s, other.longest_naked_s)
        self.slowest_recovery_s = max(self.slowest_recovery_s, other.slowest_recovery_s)
        self.counts.update(other.counts)
        self.points.update(other.points)
        self.faults.update(other.faults)
        self.failures = sorted([*self.failures, *other.failures])[:FAILURES_MAX]

    def figures(self) -> list[tuple[str, object]]:
        """Give the rows of the table."""
        promises: list[tuple[str, object]] = [(name, self.counts[name]) for name in PROMISES]
        return [
            ("schedules", self.schedules),
            ("schedules with a broken promise", self.failed),
            *promises,
            ("unit-seconds unprotected beyond 2 s", round(self.naked_unit_s)),
            ("longest unprotected, s", round(self.longest_naked_s, 1)),
            ("slowest recovery, s", round(self.slowest_recovery_s, 2)),
            ("processes started", self.lives),
            ("calls that may change something", self.counts["broker writes"]),
            ("simulated hours", round(self.virtual_s / 3600, 1)),
        ]

    def plain(self) -> dict[str, Any]:
        """Give everything as JSON values."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**values, **{name: dict(values[name]) for name in _COUNTS}}


def tally_of(plain: Mapping[str, Any]) -> Tally:
    """Read back what `Tally.plain` wrote."""
    values = dict(plain)
    for name in _COUNTS:
        values[name] = Counter(values[name])
    values["failures"] = [(int(seed), str(words)) for seed, words in values["failures"]]
    return Tally(**values)
