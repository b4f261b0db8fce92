"""Settings and dated tables in the shapes that the pipeline's functions take."""

from adapters.config_files import load_charges, load_margins, load_slippage
from adapters.settings import Settings
from propdesk.execution.lifetime import LifetimeRules
from propdesk.pipeline.conduct import ConductRule
from propdesk.pipeline.resolve import DuplicateRule
from propdesk.pipeline.trade_plan import TradeConfig

NS_PER_MS = 1_000_000


def trade_config(settings: Settings) -> TradeConfig:
    """Give step 5 its settings and the dated tables of charges, margins and slippage.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    TradeConfig

    Raises
    ------
    ConfigFault
        If one of the tables is malformed.
    """
    return TradeConfig(
        charges=load_charges(),
        margins=load_margins(),
        slippage=load_slippage(),
        lifetimes=LifetimeRules(
            swing_validity_days=settings.validity_swing_days,
            positional_validity_days=settings.validity_positional_days,
            swing_timeout_days=settings.time_out_swing_days,
            positional_timeout_days=settings.time_out_positional_days,
        ),
        latency_ns=settings.decision_latency_ms * NS_PER_MS,
        analytical_capital_paise=settings.analytical_capital_paise,
        corpus_paise=settings.corpus_paise,
        allow_loosening=settings.allow_looser_stoploss,
    )


def duplicate_rule(settings: Settings) -> DuplicateRule:
    """Give step 4 its windows of reposts."""
    return DuplicateRule(
        window_minutes=settings.duplicate_window_min, entry_ratio=settings.duplicate_entry_ratio
    )


def conduct_rule(settings: Settings) -> ConductRule:
    """Give the bounds by which the publishing of an idea is judged."""
    return ConductRule(claim_lag_max_s=settings.claim_lag_max_s, after_move_r=settings.after_move_r)
