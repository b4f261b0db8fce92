"""Rule keys and what a rule knows about itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from propdesk.core.errors import InvariantViolated
from propdesk.model.enums import Category, GateProfile, Period, Regime, RuleLevel, Session, TrustFlag, Weekday


@dataclass(frozen=True, slots=True)
class RuleKey:
    """A cell at any level (§4.1); a dimension the level does not use is None."""

    level: RuleLevel
    advisor_id: str
    category: Category | None = None
    period: Period | None = None
    regime: Regime | None = None
    weekday: Weekday | None = None
    session: Session | None = None

    @property
    def text(self) -> str:
        """Name of the cell, the same everywhere: ``6D|A01|NSE_EQ|INTRADAY|SIDEWAYS|MONDAY|MORNING``."""
        parts = [
            self.advisor_id,
            *(
                d.value
                for d in (self.category, self.period, self.regime, self.weekday, self.session)
                if d is not None
            ),
        ]
        return "|".join([_LEVEL_TEXT[self.level], *parts])


_LEVEL_TEXT = {
    RuleLevel.ADVISOR: "ADVISOR",
    RuleLevel.MINI: "MINI",
    RuleLevel.MINI_REGIME: "MINIR",
    RuleLevel.RULE_6D: "6D",
}


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate of one rule: what was asked, what was found (§4.3). A null value fails."""

    gate: str
    value: float | None
    threshold: float | None
    passed: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the rule marts as the daemon needs it (§4.2, §4.6, §4.7). R-figures are net.

    ``passes`` is true when every gate of the profile holds. ``is_adverse`` rows are the
    reverse rules of §4.4.
    """

    key: RuleKey
    profile: GateProfile
    passes: bool
    is_adverse: bool
    n: int
    n_days: int
    post_mean_r: float
    prob_edge: float
    trust_flag: TrustFlag | None
    trust_is_noise: bool
    wse_p90: float
    mean_post_sl_extension: float
    stopped_trades: int
    gates: tuple[GateResult, ...] = ()


@dataclass(frozen=True, slots=True)
class CellMinimums:
    """What the search for a rule asks of a cell of one level and category (§4.3, §4.6).

    ``trades`` says from how many trades on a cell speaks for itself (profile original); ``post_mean_r`` (R,
    net) and ``prob_edge`` must be exceeded by the finest cell (profile desk); None = not asked.
    """

    trades: int
    post_mean_r: float | None
    prob_edge: float | None


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The frozen rules of one trading day (§4.5).

    ``minimums`` are thresholds of the gates that judged the rules, frozen with them.
    """

    ruleset_version: str
    profile: GateProfile
    rules: dict[RuleKey, Rule]
    adverse: dict[RuleKey, Rule]
    minimums: Mapping[tuple[RuleLevel, Category], CellMinimums]

    def minimums_of(self, key: RuleKey) -> CellMinimums:
        """Give what is asked of one cell.

        Raises
        ------
        InvariantViolated
            If the gates know nothing of its level and category.
        """
        found = None if key.category is None else self.minimums.get((key.level, key.category))
        if found is None:
            raise InvariantViolated(f"ruleset {self.ruleset_version} has no minimums for {key.text}")
        return found
