"""Who the invented advisors are: their habits, and the skill that only the truth file knows."""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from propdesk.model.enums import Category, Period


class Kind(StrEnum):
    """What is true about an advisor."""

    LADDER = "LADDER"
    REGIME_ONLY = "REGIME_ONLY"
    DRIFTING = "DRIFTING"
    QUITTING = "QUITTING"
    LUCKY = "LUCKY"
    WRONG = "WRONG"
    COST_LOSER = "COST_LOSER"
    NO_STOP = "NO_STOP"
    LATE_COPIER = "LATE_COPIER"
    MISREPORTER = "MISREPORTER"
    PUMPER = "PUMPER"
    SYBIL = "SYBIL"


@dataclass(frozen=True, slots=True)
class Habit:
    """How one advisor works.

    Attributes
    ----------
    points : float
        Hit probability above that of a random side, a fraction (0.20 = 20 points).
    category, period : Category, Period
        Main ones; about one idea in seven is something else.
    reward : float
        First target's distance in risks, 0.5..3.
    targets : int
        1 = single target, 2 or 3 = chained.
    risk : float
        Factor on the usual stop distance.
    entry_weights : tuple of float
        LIMIT, STOP, MARKET, RANGE.
    session_weights : tuple of float
        Morning, midday, afternoon.
    sells_options : bool
        A writer instead of a buyer of options.
    follows : str
        Advisor whose ideas are copied; empty for nobody.
    rate : float
        Ideas relative to the average advisor.
    """

    advisor_id: str
    name: str
    registration: str
    kind: Kind
    points: float
    category: Category
    period: Period
    reward: float
    targets: int
    risk: float = 1.0
    entry_weights: tuple[float, float, float, float] = (0.45, 0.3, 0.15, 0.1)
    session_weights: tuple[float, float, float] = (0.5, 0.25, 0.25)
    sells_options: bool = False
    has_stop: bool = True
    followup_share: float = 0.08
    follows: str = ""
    rate: float = 1.0


_EQ, _IF, _SF = Category.NSE_EQ, Category.INDEX_FUT, Category.STOCK_FUT
_IO, _SO = Category.INDEX_OPT, Category.STOCK_OPT
_DAY, _SWING, _POSITION = Period.INTRADAY, Period.SWING, Period.POSITIONAL

# kind, points, category, period, reward/risk, targets
_ROSTER: tuple[tuple[Kind, float, Category, Period, float, int], ...] = (
    (Kind.LADDER, 0.00, _EQ, _DAY, 1.5, 1),
    (Kind.LADDER, 0.00, _IF, _DAY, 1.0, 1),
    (Kind.LADDER, 0.00, _IO, _DAY, 1.5, 2),
    (Kind.LADDER, 0.00, _SF, _DAY, 2.0, 1),
    (Kind.LADDER, 0.00, _EQ, _SWING, 2.0, 2),
    (Kind.LADDER, 0.05, _EQ, _DAY, 1.5, 1),
    (Kind.LADDER, 0.05, _SF, _DAY, 1.0, 1),
    (Kind.LADDER, 0.05, _IO, _DAY, 2.0, 1),
    (Kind.LADDER, 0.10, _EQ, _DAY, 2.0, 1),
    (Kind.LADDER, 0.10, _IF, _DAY, 1.5, 1),
    (Kind.LADDER, 0.10, _SO, _DAY, 1.5, 2),
    (Kind.LADDER, 0.15, _EQ, _DAY, 1.0, 1),
    (Kind.LADDER, 0.15, _SF, _DAY, 1.5, 2),
    (Kind.LADDER, 0.15, _IO, _DAY, 1.5, 1),
    (Kind.LADDER, 0.15, _EQ, _SWING, 1.5, 2),
    (Kind.LADDER, 0.20, _EQ, _DAY, 1.5, 1),
    (Kind.LADDER, 0.20, _SF, _DAY, 2.0, 1),
    (Kind.LADDER, 0.20, _IO, _DAY, 1.5, 3),
    (Kind.LADDER, 0.20, _IF, _DAY, 1.5, 1),
    (Kind.LADDER, 0.30, _EQ, _DAY, 2.0, 2),
    (Kind.LADDER, 0.30, _SF, _DAY, 1.5, 1),
    (Kind.LADDER, 0.30, _IO, _DAY, 1.5, 1),
    (Kind.LADDER, 0.20, _EQ, _DAY, 0.8, 1),
    (Kind.LADDER, 0.00, _EQ, _DAY, 3.0, 1),
    (Kind.REGIME_ONLY, 0.25, _EQ, _DAY, 1.5, 1),
    (Kind.REGIME_ONLY, 0.25, _SF, _DAY, 1.5, 1),
    (Kind.DRIFTING, 0.25, _EQ, _DAY, 1.5, 1),
    (Kind.DRIFTING, 0.25, _IO, _DAY, 1.5, 1),
    (Kind.QUITTING, 0.15, _EQ, _DAY, 1.5, 1),
    (Kind.LUCKY, 0.00, _EQ, _DAY, 1.5, 1),
    (Kind.LUCKY, 0.00, _SF, _DAY, 1.0, 1),
    (Kind.WRONG, -0.15, _EQ, _DAY, 1.5, 1),
    (Kind.WRONG, -0.20, _SF, _DAY, 1.0, 1),
    (Kind.COST_LOSER, 0.00, _EQ, _DAY, 1.0, 1),
    (Kind.COST_LOSER, 0.00, _EQ, _DAY, 0.5, 1),
    (Kind.NO_STOP, 0.00, _SF, _DAY, 0.6, 1),
    (Kind.NO_STOP, 0.00, _IO, _DAY, 1.0, 1),
    (Kind.LATE_COPIER, 0.00, _EQ, _DAY, 1.5, 1),
    (Kind.MISREPORTER, 0.00, _EQ, _DAY, 1.5, 2),
    (Kind.MISREPORTER, -0.05, _IO, _DAY, 1.5, 2),
    (Kind.PUMPER, 0.00, _EQ, _DAY, 1.5, 1),
    (Kind.SYBIL, 0.00, _EQ, _DAY, 1.5, 1),
    (Kind.SYBIL, 0.00, _EQ, _DAY, 1.5, 1),
    (Kind.SYBIL, 0.00, _EQ, _DAY, 1.5, 1),
)
_FIRST_NAMES = (
    "Arthvidya", "Bazaarlens", "Candlepath", "Dhanrekha", "Earnwell", "Foresight", "Gatimaan", "Harit",
    "Indukan", "Jaldrishti", "Kuberline", "Lakshyam", "Moneta", "Nirikshan", "Oakridge", "Pragati",
    "Quantum", "Riddhi", "Samvriddhi", "Tradewise", "Udyam", "Vittam", "Wealthpath", "Yukti",
)  # fmt: skip
_LAST_NAMES = ("Research", "Advisory", "Capital Views", "Market Calls")
ADVISORS = len(_ROSTER)


def roster(seed: int, *, cash_only: bool, skill: float = 1.0) -> list[Habit]:
    """Invent the advisors.

    Parameters
    ----------
    seed : int
        Decides who is who: an id tells nothing about the kind.
    cash_only : bool
        Everybody talks about cash stocks (for real prices).
    skill : float
        Factor on everybody's points; 0 = no skill anywhere.

    Returns
    -------
    list of Habit
        By advisor id.
    """
    rng = np.random.default_rng([seed, 19])
    numbers = rng.permutation(ADVISORS) + 1
    habits: list[Habit] = []
    for number, (kind, points, category, period, reward, targets) in zip(numbers, _ROSTER, strict=True):
        if cash_only:
            category = _EQ
        name = f"{_FIRST_NAMES[number % len(_FIRST_NAMES)]} {_LAST_NAMES[number % len(_LAST_NAMES)]}"
        registration = "" if number % 17 == 0 else f"INH{int(rng.integers(0, 10**9)):09d}"
        habit = Habit(
            f"ADV{number:03d}", name, registration, kind, points * skill, category, period, reward, targets,
            entry_weights=_weights(rng, (0.45, 0.3, 0.15, 0.1)),
            session_weights=_weights(rng, (0.5, 0.25, 0.25)),
            followup_share=float(rng.choice([0.0, 0.05, 0.1, 0.2])),
        )  # fmt: skip
        habits.append(_special(habit))
    return sorted(_with_masters(habits), key=lambda h: h.advisor_id)


def _weights(rng: np.random.Generator, base: tuple[float, ...]) -> tuple:  # type: ignore[type-arg]
    """Personal version of some weights; the sum stays 1."""
    drawn = rng.dirichlet(np.array(base) * 8)
    return tuple(float(value) for value in drawn)


def _special(habit: Habit) -> Habit:
    """Give the odd kinds what sets them apart."""
    if habit.kind is Kind.COST_LOSER:
        # stops so near that charges and spread eat what a random side earns
        return replace(habit, risk=0.45, rate=1.3, followup_share=0.0)
    if habit.kind is Kind.NO_STOP:
        return replace(habit, has_stop=False, followup_share=0.0)
    if habit.kind is Kind.PUMPER:
        return replace(habit, entry_weights=(0.1, 0.7, 0.2, 0.0), rate=0.6)
    if habit.kind is Kind.MISREPORTER:
        return replace(habit, followup_share=0.15)
    return habit


def _with_masters(habits: list[Habit]) -> list[Habit]:
    """Tell the copier and the second and third sybil channel whom they copy."""
    star = next(h for h in habits if h.kind is Kind.LADDER and h.points == max(x.points for x in habits))
    first = next(h for h in habits if h.kind is Kind.SYBIL)
    found: list[Habit] = []
    for habit in habits:
        if habit.kind is Kind.LATE_COPIER:
            found.append(replace(star, advisor_id=habit.advisor_id, name=habit.name,
                                 registration=habit.registration, kind=habit.kind, follows=star.advisor_id,
                                 followup_share=0.0))  # fmt: skip
        elif habit.kind is Kind.SYBIL and habit is not first:
            found.append(
                replace(
                    first,
                    advisor_id=habit.advisor_id,
                    name=habit.name,
                    registration=habit.registration,
                    follows=first.advisor_id,
                    followup_share=0.0,
                )
            )
        else:
            found.append(habit)
    return found
