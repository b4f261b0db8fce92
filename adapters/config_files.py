"""Read the dated tables of ``config/`` into the domain's models."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from propdesk.core.errors import ConfigFault
from propdesk.core.money import rupees_to_paise
from propdesk.model.enums import Category
from propdesk.risk.charges import ChargeModel, ChargeRate, ChargeSegment, Component
from propdesk.risk.margin import MarginKind, MarginModel, MarginRate
from propdesk.risk.slippage import SlippageModel, SlippageRate

CONFIG_DIR = Path(__file__).resolve().parents[1] / "config"
_PAISE_PER_CRORE_PERCENT = 10_000_000
_PPM = 1_000_000
_PPM_PER_BP = 100

Model = TypeVar("Model")


def load_charges(file: Path = CONFIG_DIR / "charges.yaml") -> ChargeModel:
    """Read the table of brokerage, taxes and fees.

    Raises
    ------
    ConfigFault
        If the file is missing, or a line of it cannot be used.
    """
    return _load(file, _charges)


def load_margins(file: Path = CONFIG_DIR / "margins.yaml") -> MarginModel:
    """Read the margin model; raises `ConfigFault` if it cannot be used."""
    return _load(file, _margins)


def load_slippage(file: Path = CONFIG_DIR / "slippage.yaml") -> SlippageModel:
    """Read the slippage model; raises `ConfigFault` if it cannot be used."""
    return _load(file, _slippage)


def _load(file: Path, build: Callable[[dict[str, Any]], Model]) -> Model:
    try:
        version = file.stat().st_mtime_ns
    except OSError as error:
        raise ConfigFault(f"{file} cannot be read ({error.strerror}); restore it from the clone") from error
    return _cached(file, version, build)  # type: ignore[return-value]


@lru_cache(maxsize=16)
def _cached(file: Path, _version: int, build: Callable[[dict[str, Any]], object]) -> object:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigFault(f"{file} is not readable YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigFault(f"{file} must hold a mapping with version and rates")
    try:
        return build(content)
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise ConfigFault(f"{file} cannot be used: {error}") from error


def _day(row: dict[str, Any]) -> date:
    since = row["since"]
    if not isinstance(since, date):
        raise ValueError(f"since must be a date, not {since!r}, in {row}")
    return since


def _whole(value: Decimal, row: object) -> int:
    if value != value.to_integral_value() or value < 0:
        raise ValueError(f"a rate is negative or finer than the model resolves in {row}")
    return int(value)


def _charges(content: dict[str, Any]) -> ChargeModel:
    rates: list[ChargeRate] = []
    for row in content["rates"]:
        if ("pct" in row) == ("per_crore" in row):
            raise ValueError(f"exactly one of pct and per_crore belongs in {row}")
        if "pct" in row:
            per_crore = Decimal(row["pct"]) * _PAISE_PER_CRORE_PERCENT
        else:
            per_crore = Decimal(row["per_crore"]) * 100
        cap = rupees_to_paise(row["cap"]) if "cap" in row else None
        rates.append(
            ChargeRate(
                Component(row["component"]),
                ChargeSegment(row["segment"]),
                _day(row),
                _whole(per_crore, row),
                cap,
            )
        )
    return ChargeModel(
        tuple(rates),
        int(content["gst_percent"]),
        rupees_to_paise(content["depository"]),
        str(content["version"]),
    )


def _margins(content: dict[str, Any]) -> MarginModel:
    rates = tuple(
        MarginRate(MarginKind(row["kind"]), _day(row), _whole(Decimal(row["share"]) * _PPM, row))
        for row in content["rates"]
    )
    steps = tuple(_whole(Decimal(step) * _PPM, step) for step in content["delivery_steps"])
    return MarginModel(rates, steps, str(content["version"]))


def _slippage(content: dict[str, Any]) -> SlippageModel:
    rates = {
        Category(name): SlippageRate(
            _whole(Decimal(row["half_spread_bp"]) * _PPM_PER_BP, row),
            _whole(Decimal(row["impact_bp"]) * _PPM_PER_BP, row),
        )
        for name, row in content["rates"].items()
    }
    missing = sorted(set(Category) - set(rates))
    if missing:
        raise ValueError(f"no rate for {', '.join(missing)}")
    return SlippageModel(rates, float(content["share_max"]), str(content["version"]))
