"""The cells one idea belongs to (§4.1): the one-record twin of the pipeline's grouping."""

from propdesk.model.enums import Category, Period, Regime, RuleLevel, Session, Weekday
from propdesk.model.rule import RuleKey


def cells_of(
    advisor_id: str,
    category: Category,
    period: Period | None,
    *,
    regime: Regime | None,
    weekday: Weekday | None,
    session: Session | None,
) -> tuple[RuleKey, ...]:
    """Name an idea's cells, fine to coarse.

    Parameters
    ----------
    advisor_id : str
        Who said it.
    category, period
        What it is about and how long it is meant to last.
    regime, weekday, session
        Market state known before the open, weekday of the trade date, part of the day.

    Returns
    -------
    tuple of RuleKey
        A cell that needs a dimension the idea lacks is left out; AFTER_HOURS has no 6D cell.

    Examples
    --------
    >>> keys = cells_of("A1", Category.NSE_EQ, Period.SWING, regime=None, weekday=None, session=None)
    >>> [key.text for key in keys]
    ['MINI|A1|NSE_EQ|SWING', 'ADVISOR|A1']
    """
    advisor = RuleKey(RuleLevel.ADVISOR, advisor_id)
    if period is None:
        return (advisor,)
    out = [RuleKey(RuleLevel.MINI, advisor_id, category, period), advisor]
    if regime is None:
        return tuple(out)
    out.insert(0, RuleKey(RuleLevel.MINI_REGIME, advisor_id, category, period, regime))
    if weekday is not None and session is not None and session is not Session.AFTER_HOURS:
        out.insert(0, RuleKey(RuleLevel.RULE_6D, advisor_id, category, period, regime, weekday, session))
    return tuple(out)
