"""Whether what a signal asks for can be done at all, and whether its rule still holds at this moment."""

from collections.abc import Collection
from datetime import date

from propdesk.model.enums import Category, Period, Product, Side
from propdesk.model.messages import DecisionCode
from propdesk.model.rule import Rule
from propdesk.risk.margin import product_of

TRADE_FOR_TRADE_SERIES = frozenset({"BE", "BZ", "BT", "T", "Z", "XT", "ST"})
"""Series of the exchanges in which every trade is settled by delivery: no intraday (§2.6)."""


def choose_product(
    category: Category, period: Period, side: Side, series: str, on_date: date
) -> Product | str:
    """Choose the product a trade is held under; pipeline and daemon ask this one function (§2.6).

    Parameters
    ----------
    category, period, side, series
        What is traded, for how long, which way it opens, and the cash series of the instrument.
    on_date : date
        Market day of the trade; the rules are the same on every day so far.

    Returns
    -------
    Product or str
        The product; or UNSHORTABLE (cash sold short beyond the day), TRADE_FOR_TRADE (series without
        intraday trading).
    """
    del on_date
    is_intraday = period is Period.INTRADAY
    if category is Category.NSE_EQ:
        if is_intraday and series in TRADE_FOR_TRADE_SERIES:
            return DecisionCode.TRADE_FOR_TRADE.value
        if not is_intraday and side is Side.SELL:
            return DecisionCode.UNSHORTABLE.value
    return product_of(category, is_intraday)


def is_multi_leg(group_key: str | None) -> bool:
    """Whether an idea is one leg of several posted as one; pipeline and daemon ask this one function (§1.1).

    Parameters
    ----------
    group_key : str or None
        What the legs share; None = the idea stands alone.

    Returns
    -------
    bool
        True is no single trade: neither counted as one nor ever traded naked.

    Notes
    -----
    The idea's own field decides. Its siblings may be refused, lie in another partition or come later: what
    the idea is would depend on them.
    """
    return group_key is not None


def recheck_rule(
    rule: Rule, finest_post_mean_r: float, hurdle_r: float | None, demoted: Collection[str]
) -> str | None:
    """Check a matched rule again at the moment of decision (double gate, §5.3).

    Parameters
    ----------
    rule : Rule
        What matching found.
    finest_post_mean_r : float
        Of the cell that sizes the trade.
    hurdle_r : float or None
        What that cell has to exceed; None where the profile asks nothing.
    demoted : collection of str
        Rule texts switched off since the open (drift, a person); promotion never happens intraday.

    Returns
    -------
    str or None
        Why the rule may not trade now; None if it may.
    """
    if rule.key.text in demoted:
        return f"{rule.key.text} was demoted for the day"
    failed = [gate.gate for gate in rule.gates if not gate.passed]
    if not rule.passes or failed:
        return f"{rule.key.text} fails {', '.join(failed) or 'its gates'}"
    if hurdle_r is not None and not rule.is_adverse and not finest_post_mean_r > hurdle_r:
        return f"{rule.key.text}: the finest cell's expected R is not above {hurdle_r}"
    return None
