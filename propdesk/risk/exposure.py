"""What the book holds, summed under the keys the limits know (§6.1)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from propdesk.model.enums import Direction


@dataclass(frozen=True, slots=True)
class GroupExposure:
    """One open trade group as the limits see it; paise, all >= 0."""

    underlying: str
    advisor_id: str
    rule_text: str
    direction: Direction
    notional_paise: int
    margin_paise: int
    planned_risk_paise: int


@dataclass(frozen=True, slots=True)
class BookView:
    """Sums over the open groups and the day's counters.

    ``trades_by_rule`` counts the day's entries per rule; ``risk_planned_today_paise`` the planned risk of
    all of them, closed ones included.
    """

    corpus_paise: int
    open_groups: int = 0
    notional_paise: int = 0
    margin_paise: int = 0
    planned_risk_paise: int = 0
    by_underlying: Mapping[str, int] = field(default_factory=dict)
    by_advisor: Mapping[str, int] = field(default_factory=dict)
    by_rule: Mapping[str, int] = field(default_factory=dict)
    by_direction: Mapping[Direction, int] = field(default_factory=dict)
    trades_by_rule: Mapping[str, int] = field(default_factory=dict)
    position_quantity: int = 0


def view_book(
    groups: Iterable[GroupExposure],
    corpus_paise: int,
    trades_by_rule: Mapping[str, int],
    position_quantity: int = 0,
) -> BookView:
    """Sum open groups into a view.

    Parameters
    ----------
    groups : iterable of GroupExposure
        Every group with a waiting or open leg.
    corpus_paise : int
        Opening corpus of the day, paise.
    trades_by_rule : mapping of str to int
        Entries of the day per rule text.
    position_quantity : int
        Units open under the order an exit is for; 0 for entries.
    """
    count = notional = margin = risk = 0
    by_underlying: dict[str, int] = {}
    by_advisor: dict[str, int] = {}
    by_rule: dict[str, int] = {}
    by_direction: dict[Direction, int] = {}
    for group in groups:
        count += 1
        notional += group.notional_paise
        margin += group.margin_paise
        risk += group.planned_risk_paise
        value = group.notional_paise
        by_underlying[group.underlying] = by_underlying.get(group.underlying, 0) + value
        by_advisor[group.advisor_id] = by_advisor.get(group.advisor_id, 0) + value
        by_rule[group.rule_text] = by_rule.get(group.rule_text, 0) + value
        by_direction[group.direction] = by_direction.get(group.direction, 0) + value
    return BookView(
        corpus_paise, count, notional, margin, risk, by_underlying, by_advisor, by_rule, by_direction,
        trades_by_rule, position_quantity,
    )  # fmt: skip
