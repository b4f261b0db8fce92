"""Limits of the risk gateway and measures of the kill switches from YAML, checked against a schema."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from adapters.config_schema import Strict, load_checked
from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND
from propdesk.model.enums import Category
from propdesk.risk.gateway import CategoryLimits, RiskLimits
from propdesk.risk.kill_switch import KillLimits
from propdesk.risk.protections import Per, Protection, ProtectionKind

RISK_FILE: Final = Path(__file__).resolve().parents[1] / "config" / "risk.yaml"
MAY_BE_WIDER: Final = frozenset({"price_band"})
"""Of a category; everything else only ever tightens what the account allows."""

_Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
_Multiple = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
_Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
_Window = Annotated[int, Field(gt=0, le=10_000)]
_Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
_Minutes = Annotated[int, Field(gt=0, le=100 * 24 * 60)]
_Moment = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class _Account(Strict):
    order_value_max_share: _Multiple
    order_quantity_max: _Count
    price_band: _Share
    exposure_total_max: _Multiple
    exposure_underlying_max: _Multiple
    exposure_advisor_max: _Multiple
    exposure_rule_max: _Multiple
    exposure_direction_max: _Multiple
    margin_utilisation_max: _Share
    planned_risk_group_max: _Share
    all_stops_loss_max: _Share
    trades_per_rule_max: _Count
    open_groups_max: _Count
    entry_cutoff: _Moment | None


class _Category(Strict):
    order_value_max_share: _Multiple | None = None
    order_quantity_max: _Count | None = None
    price_band: _Share | None = None
    exposure_total_max: _Multiple | None = None
    exposure_underlying_max: _Multiple | None = None
    exposure_advisor_max: _Multiple | None = None
    exposure_rule_max: _Multiple | None = None
    exposure_direction_max: _Multiple | None = None
    margin_utilisation_max: _Share | None = None
    planned_risk_group_max: _Share | None = None
    all_stops_loss_max: _Share | None = None
    trades_per_rule_max: _Count | None = None
    open_groups_max: _Count | None = None
    entry_cutoff: _Moment | None = None


class _Protection(Strict):
    kind: ProtectionKind
    per: Per
    block_min: _Minutes
    lookback_min: _Minutes | None = None
    trades: _Count = 1
    limit: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> "_Protection":
        looks_back = self.kind is not ProtectionKind.COOL_DOWN
        has_limit = self.kind in (ProtectionKind.LOW_PROFIT, ProtectionKind.DRAWDOWN)
        if looks_back is (self.lookback_min is None):
            raise ValueError(f"{self.kind.value} {'needs a' if looks_back else 'has no'} lookback_min")
        if has_limit is (self.limit is None):
            raise ValueError(f"{self.kind.value} {'needs a' if has_limit else 'has no'} limit")
        if self.kind is ProtectionKind.DRAWDOWN and (self.limit or 0) <= 0:
            raise ValueError("the limit of a DRAWDOWN is above 0")
        return self

    def made(self) -> Protection:
        """Give it in terms of the clock."""
        return Protection(
            self.kind,
            self.per,
            self.block_min * NS_PER_MINUTE,
            (self.lookback_min or 0) * NS_PER_MINUTE,
            self.trades,
            self.limit or 0.0,
        )


class _Kill(Strict):
    day_loss_block: _Share
    day_loss_halt: _Share
    group_loss_r: _Multiple
    group_loss_capital: _Share
    groups_max: _Count
    legs_max: _Count
    window_s: _Seconds
    disconnect_s: _Seconds
    market_stale_s: _Seconds
    market_series_min: _Count
    position_stale_s: _Seconds
    rejections_row: _Count
    rejections_row_account: _Count
    rejections_share: _Share
    rejections_window: _Count
    advisor_signals_max: _Count
    advisor_window_s: _Seconds
    latency_alarm_s: _Seconds
    latency_halt_s: _Seconds
    latency_window: _Window
    latency_good_s: _Seconds
    exceptions_max: _Count
    exceptions_window_s: _Seconds
    clock_skew_s: _Seconds
    clock_good_s: _Seconds
    drift_trades_min: _Count

    @model_validator(mode="after")
    def _ordered(self) -> "_Kill":
        if self.day_loss_block > self.day_loss_halt:
            raise ValueError(
                "day_loss_block lies beyond day_loss_halt: entries would end after everything is closed"
            )
        if self.latency_alarm_s > self.latency_halt_s:
            raise ValueError(
                "latency_alarm_s lies beyond latency_halt_s: nobody would be told before entries end"
            )
        return self


class _File(Strict):
    account: _Account
    categories: dict[Category, _Category]
    banned: list[Annotated[str, Field(min_length=1, max_length=64)]]
    kill: _Kill
    protections: list[_Protection]

    @model_validator(mode="after")
    def _tighter(self) -> "_File":
        account = self.account.model_dump()
        for category, own in self.categories.items():
            for name, value in _given(own).items():
                ours = account[name]
                if name not in MAY_BE_WIDER and ours is not None and value > ours:
                    what = f"{name} of {category.value} ({value})"
                    raise ValueError(f"{what} is wider than the account's ({ours})")
        return self


@dataclass(frozen=True, slots=True)
class RiskConfig:
    """What a day's entries are held to: the account's limits, those of categories, the switches' measures."""

    limits: RiskLimits
    category_limits: tuple[CategoryLimits, ...]
    kill_limits: KillLimits


def load_risk(trade_date: date, file: Path | None = None) -> RiskConfig:
    """Read and check the limits of a day.

    Parameters
    ----------
    trade_date : date
        Whose moments the times of day are.
    file : Path, optional
        YAML like ``config/risk.yaml``, which is the default.

    Raises
    ------
    ConfigFault
        If the file is missing, malformed, names what does not exist, or lets a category do what the account
        may not.
    """
    path = file or RISK_FILE
    parsed = load_checked(path, _File, "config/risk.yaml")
    banned = frozenset(name.upper() for name in parsed.banned)
    limits = replace(RiskLimits(banned=banned), **_limits(parsed.account.model_dump(), trade_date))
    return RiskConfig(
        limits,
        tuple(
            CategoryLimits(category, replace(limits, **_limits(_given(own), trade_date)))
            for category, own in sorted(parsed.categories.items())
        ),
        KillLimits(
            **_kill_limits(parsed.kill.model_dump()),
            protections=tuple(one.made() for one in parsed.protections),
        ),
    )


def _given(own: _Category) -> dict[str, Any]:
    """Give what a category states."""
    return {name: value for name, value in own.model_dump().items() if value is not None}


def _limits(stated: Mapping[str, Any], trade_date: date) -> dict[str, Any]:
    """Put a time of day in terms of the day's moments."""
    found = {name: value for name, value in stated.items() if name != "entry_cutoff"}
    if stated.get("entry_cutoff") is not None:
        at = time.fromisoformat(stated["entry_cutoff"])
        found["entry_cutoff_ns"] = ist_midnight_ns(trade_date) + (at.hour * 60 + at.minute) * NS_PER_MINUTE
    return found


def _kill_limits(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Put seconds in terms of the clock."""
    found = {name: value for name, value in stated.items() if not name.endswith("_s")}
    spans = {name: value for name, value in stated.items() if name.endswith("_s")}
    return {**found, **{f"{n.removesuffix('_s')}_ns": round(v * NS_PER_SECOND) for n, v in spans.items()}}
