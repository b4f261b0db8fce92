"""The gates' thresholds from YAML, checked against a schema."""

from pathlib import Path

from pydantic import Field, FiniteFloat, model_validator

from adapters.config_schema import Strict, load_checked
from propdesk.model.enums import Category, GateProfile, RuleLevel
from propdesk.rules.gates import ADVERSE_GATES, GATES, RULE_LEVELS, GateTable, make_gate_table

GATES_FILE = Path(__file__).resolve().parents[1] / "config" / "gates.yaml"


class _Level(Strict):
    """Thresholds of one level: the default and what single categories change."""

    default: dict[str, FiniteFloat]
    NSE_EQ: dict[str, FiniteFloat] = Field(default_factory=dict)
    INDEX_FUT: dict[str, FiniteFloat] = Field(default_factory=dict)
    STOCK_FUT: dict[str, FiniteFloat] = Field(default_factory=dict)
    INDEX_OPT: dict[str, FiniteFloat] = Field(default_factory=dict)
    STOCK_OPT: dict[str, FiniteFloat] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> "_Level":
        for gates in (self.default, *(self.of(category) for category in Category)):
            unknown = sorted(set(gates) - set(GATES))
            if unknown:
                raise ValueError(f"unknown gate {unknown[0]!r}; known are {', '.join(GATES)}")
        if self.default.get("min_trades", 0) < 1:
            raise ValueError("min_trades must be at least 1")
        return self

    def of(self, category: Category) -> dict[str, float]:
        """Give what the category changes."""
        found: dict[str, float] = getattr(self, category.value)
        return found


class _Profile(Strict):
    RULE_6D: _Level
    MINI: _Level
    MINI_REGIME: _Level


class _Profiles(Strict):
    original: _Profile
    desk: _Profile


class _Adverse(Strict):
    original: dict[str, FiniteFloat]
    desk: dict[str, FiniteFloat]

    @model_validator(mode="after")
    def _known(self) -> "_Adverse":
        unknown = sorted((set(self.original) | set(self.desk)) - set(ADVERSE_GATES))
        if unknown:
            raise ValueError(f"unknown adverse gate {unknown[0]!r}; known are {', '.join(ADVERSE_GATES)}")
        return self


class _File(Strict):
    profiles: _Profiles
    adverse: _Adverse


def load_gates(file: Path | None = None) -> GateTable:
    """Read and check the thresholds of both profiles.

    Parameters
    ----------
    file : Path, optional
        YAML like ``config/gates.yaml``, which is the default.

    Returns
    -------
    GateTable
        With a version that changes with any threshold.

    Raises
    ------
    ConfigFault
        If the file is missing, malformed, or names a gate that does not exist.
    """
    path = file or GATES_FILE
    parsed = load_checked(path, _File, "config/gates.yaml")
    rules: dict[tuple[GateProfile, RuleLevel, Category], dict[str, float]] = {}
    for profile in GateProfile:
        levels: _Profile = getattr(parsed.profiles, profile.value)
        for level in RULE_LEVELS:
            asked: _Level = getattr(levels, level.value)
            for category in Category:
                rules[profile, level, category] = {**asked.default, **asked.of(category)}
    adverse = {profile: dict(getattr(parsed.adverse, profile.value)) for profile in GateProfile}
    return make_gate_table(rules, adverse)
