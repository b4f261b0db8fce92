"""What a simulated desk came to, day by day, and the figures of a whole run (§4.8)."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from propdesk.metrics.equity import calmar, max_drawdown, sharpe, sharpe_error, sortino
from propdesk.metrics.expectancy import profit_factor
from propdesk.model.enums import Category, ExitReason

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SimulatedTrade:
    """One leg from fill to exit. Money in paise, stamps in ns UTC.

    Attributes
    ----------
    group_id, leg_number
        Name the leg.
    rule_text : str
        The rule it traded under.
    risk_paise : int
        Its share of the group's planned loss at the stop.
    """

    group_id: str
    leg_number: int
    signal_id: str
    advisor_id: str
    category: Category
    rule_text: str
    is_reverse: bool
    instrument_key: str
    side: str
    quantity: int
    entry_ns: int
    entry_paise: int
    exit_ns: int
    exit_paise: int
    exit_reason: ExitReason
    gross_pnl_paise: int
    charges_paise: int
    net_pnl_paise: int
    risk_paise: int

    @property
    def r_multiple(self) -> float:
        """Net result in planned risk; NaN where nothing was at risk."""
        return self.net_pnl_paise / self.risk_paise if self.risk_paise > 0 else math.nan


@dataclass(frozen=True, slots=True)
class DayOutcome:
    """One market day of one simulated desk.

    Attributes
    ----------
    rules_of : date or None
        As-of date of the rules; None where they are not of any table (baselines).
    opening_paise, closing_paise : int
        Corpus before the first and after the last event, realised.
    marked_paise : int
        ``closing_paise`` with what is open at its last price, less the charges of leaving there.
    peak_utilisation_ratio : float
        Largest deployed share of the corpus of the day.
    decisions : mapping of str to int
        Number of last words by their code.
    switches : tuple of str
        Causes that raised a kill level during the day.
    digest : str
        Hash over everything the reducer said (hex sha-256): the same for the same inputs.
    """

    trade_date: date
    rules_of: date | None
    ruleset_version: str
    opening_paise: int
    closing_paise: int
    marked_paise: int
    peak_utilisation_ratio: float
    open_groups: int
    decisions: Mapping[str, int]
    trades: tuple[SimulatedTrade, ...]
    switches: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of a run; ratios are fractions, NaN = undefined (§3.4's definitions on daily corpus values).

    ``marked_mdd_ratio`` is of the marked curve; the MDD of the realised one stands beside it.
    """

    days: int
    capital_paise: int
    final_paise: int
    marked_paise: int
    return_ratio: float
    mdd_ratio: float
    marked_mdd_ratio: float
    sharpe: float
    sharpe_se: float
    sortino: float
    calmar: float
    ideas: int
    traded: int
    trades: int
    win_ratio: float
    profit_factor: float
    mean_r: float
    gross_pnl_paise: int
    charges_paise: int
    net_pnl_paise: int
    peak_utilisation_ratio: float
    open_at_end: int
    switch_days: int


@dataclass(frozen=True, slots=True)
class Share:
    """What one rule, advisor or category added to a run."""

    name: str
    trades: int
    wins: int
    gross_pnl_paise: int
    charges_paise: int
    net_pnl_paise: int
    mean_r: float


TRADED_CODES = ("TRADED", "TRADED_REVERSE")
"""Last words after which an order left."""

PENDING_CODE = "PENDING_ENTRY"
"""A word that another one follows; not counted as a last one."""


def run_digest(days: Iterable[DayOutcome]) -> str:
    """Name a run by all that was decided in it (hex sha-256)."""
    digest = hashlib.sha256()
    for day in days:
        digest.update(f"{day.trade_date}|{day.digest}\n".encode())
    return digest.hexdigest()


def summarise(days: Sequence[DayOutcome], capital_paise: int, risk_free: float = 0.0) -> Summary:
    """Work out the figures of a run.

    Parameters
    ----------
    days : sequence of DayOutcome
        In order, without gaps.
    capital_paise : int
        Corpus before the first day, > 0.
    risk_free : float
        Yearly rate, fraction.

    Returns
    -------
    Summary
        Without a day: the capital, ratios 0, the rest NaN.
    """
    trades = [trade for day in days for trade in day.trades]
    realised = _curve(capital_paise, [day.closing_paise for day in days])
    marked = _curve(capital_paise, [day.marked_paise for day in days])
    returns = _returns(realised)
    ratio = sharpe(returns, risk_free)
    results = np.array([trade.net_pnl_paise for trade in trades], dtype=np.float64)
    decided = [(code, count) for day in days for code, count in day.decisions.items()]
    final = days[-1].closing_paise if days else capital_paise
    mdd = max_drawdown(realised)
    return Summary(
        days=len(days),
        capital_paise=capital_paise,
        final_paise=final,
        marked_paise=days[-1].marked_paise if days else capital_paise,
        return_ratio=final / capital_paise - 1.0,
        mdd_ratio=mdd,
        marked_mdd_ratio=max_drawdown(marked),
        sharpe=ratio,
        sharpe_se=sharpe_error(ratio, len(returns)),
        sortino=sortino(returns, risk_free),
        calmar=calmar(final / capital_paise, mdd, len(days)),
        ideas=sum(count for code, count in decided if code != PENDING_CODE),
        traded=sum(count for code, count in decided if code in TRADED_CODES),
        trades=len(trades),
        win_ratio=float(np.mean(results > 0)) if trades else math.nan,
        profit_factor=profit_factor(results),
        mean_r=_mean_r(trades),
        gross_pnl_paise=sum(trade.gross_pnl_paise for trade in trades),
        charges_paise=sum(trade.charges_paise for trade in trades),
        net_pnl_paise=sum(trade.net_pnl_paise for trade in trades),
        peak_utilisation_ratio=max((day.peak_utilisation_ratio for day in days), default=0.0),
        open_at_end=days[-1].open_groups if days else 0,
        switch_days=sum(bool(day.switches) for day in days),
    )


def daily_returns(days: Sequence[DayOutcome], capital_paise: int) -> FloatArray:
    """Give the return of each market day on the realised corpus, as fractions, shape (n_days,).

    Notes
    -----
    The first one is measured from the capital; a corpus that is used up returns 0 from then on (§3.4).
    """
    return _returns(_curve(capital_paise, [day.closing_paise for day in days]))


def drawdown_curve(values: Sequence[int]) -> FloatArray:
    """Give each value against the running peak, fractions <= 0; the first value is > 0."""
    curve = np.array(values, dtype=np.float64)
    return curve / np.maximum.accumulate(curve) - 1.0


def monthly_returns(days: Sequence[DayOutcome], capital_paise: int) -> dict[tuple[int, int], float]:
    """Give the realised return of each month begun, as a fraction, by (year, month).

    Examples
    --------
    >>> monthly_returns([], 100)
    {}
    """
    found: dict[tuple[int, int], float] = {}
    before = month_start = capital_paise
    month = None
    for day in days:
        name = (day.trade_date.year, day.trade_date.month)
        if name != month:
            month, month_start = name, before
        before = day.closing_paise
        found[name] = before / month_start - 1.0 if month_start > 0 else 0.0
    return found


def attribute(trades: Iterable[SimulatedTrade], name: Callable[[SimulatedTrade], str]) -> tuple[Share, ...]:
    """Add up what trades brought by a name of theirs, the best first.

    Returns
    -------
    tuple of Share
        Together they are the run: their net results add up to its net result, to the paisa.
    """
    groups: dict[str, list[SimulatedTrade]] = {}
    for trade in trades:
        groups.setdefault(name(trade), []).append(trade)
    shares = [
        Share(
            name=key,
            trades=len(group),
            wins=sum(trade.net_pnl_paise > 0 for trade in group),
            gross_pnl_paise=sum(trade.gross_pnl_paise for trade in group),
            charges_paise=sum(trade.charges_paise for trade in group),
            net_pnl_paise=sum(trade.net_pnl_paise for trade in group),
            mean_r=_mean_r(group),
        )
        for key, group in groups.items()
    ]
    return tuple(sorted(shares, key=lambda share: (-share.net_pnl_paise, share.name)))


def rule_of(trade: SimulatedTrade) -> str:
    """Name the rule of a trade; the reverse of a cell is another one than the cell."""
    return f"{trade.rule_text} (reversed)" if trade.is_reverse else trade.rule_text


def _curve(capital_paise: int, values: Sequence[int]) -> FloatArray:
    return np.array([capital_paise, *values], dtype=np.float64)


def _returns(curve: FloatArray) -> FloatArray:
    before = curve[:-1]
    alive = before > 0
    return np.where(alive, np.diff(curve) / np.where(alive, before, 1.0), 0.0)


def _mean_r(trades: Sequence[SimulatedTrade]) -> float:
    known = [r for trade in trades if not math.isnan(r := trade.r_multiple)]
    return sum(known) / len(known) if known else math.nan
