"""The gates' thresholds from YAML, checked against a schema."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError, model_validator

from propdesk.core.errors import ConfigFault
from propdesk.model.enums import Category, GateProfile, RuleLevel
from propdesk.rules.gates import ADVERSE_GATES, GATES, RULE_LEVELS, GateTable, make_gate_table

GATES_FILE = Path(__file__).resolve().parents[1] / "config" / "gates.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Level(BaseModel):
    """Thresholds of one level: the default and what single categories change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default: dict[str, FiniteFloat]
    NSE_EQ: dict[str, FiniteFloat] = {}
    INDEX_FUT: dict[str, FiniteFloat] = {}
    STOCK_FUT: dict[str, FiniteFloat] = {}
    INDEX_OPT: dict[str, FiniteFloat] = {}
    STOCK_OPT: dict[str, FiniteFloat] = {}

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


class _Profile(_Strict):
    RULE_6D: _Level
    MINI: _Level
    MINI_REGIME: _Level


class _Profiles(_Strict):
    original: _Profile
    desk: _Profile


class _Adverse(_Strict):
    original: dict[str, FiniteFloat]
    desk: dict[str, FiniteFloat]

    @model_validator(mode="after")
    def _known(self) -> "_Adverse":
        unknown = sorted((set(self.original) | set(self.desk)) - set(ADVERSE_GATES))
        if unknown:
            raise ValueError(f"unknown adverse gate {unknown[0]!r}; known are {', '.join(ADVERSE_GATES)}")
        return self


class _File(_Strict):
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
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        parsed = _File.model_validate(data)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigFault(f"{path} cannot be read as YAML: {error}; see config/gates.yaml") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top"
        raise ConfigFault(f"{path}, at {where}: {first['msg']}; see config/gates.yaml") from error
    rules: dict[tuple[GateProfile, RuleLevel, Category], dict[str, float]] = {}
    for profile in GateProfile:
        levels: _Profile = getattr(parsed.profiles, profile.value)
        for level in RULE_LEVELS:
            asked: _Level = getattr(levels, level.value)
            for category in Category:
                rules[profile, level, category] = {**asked.default, **asked.of(category)}
    adverse = {profile: dict(getattr(parsed.adverse, profile.value)) for profile in GateProfile}
    return make_gate_table(rules, adverse)
