"""Pauses after trades that went badly: of an advisor, an underlying or a side (reliability K17).

Pure functions over closed trades: the reducer asks them after each trade, live as in a simulation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from propdesk.core.clock import NS_PER_MINUTE


class ProtectionKind(StrEnum):
    """What is looked at."""

    COOL_DOWN = "COOL_DOWN"
    STOP_STREAK = "STOP_STREAK"
    LOW_PROFIT = "LOW_PROFIT"
    DRAWDOWN = "DRAWDOWN"


class Per(StrEnum):
    """Whose trades are looked at together; the name of the scope that is paused."""

    ADVISOR = "ADVISOR"
    UNDERLYING = "UNDERLYING"
    SIDE = "SIDE"


@dataclass(frozen=True, slots=True)
class Protection:
    """One rule.

    Attributes
    ----------
    kind : ProtectionKind
        COOL_DOWN pauses after every trade. The others look at the trades that ended within ``lookback_ns``:
        STOP_STREAK at ``trades`` of them or more that were lost at their stop, LOW_PROFIT at a result of
        ``trades`` or more below ``limit``, DRAWDOWN at a fall of that result from its peak by more than
        ``limit``.
    per : Per
    block_ns : int
        How long entries of the scope are paused, from the end of the trade.
    lookback_ns : int
        Unused by COOL_DOWN.
    trades : int
        At least so many are judged; >= 1.
    limit : float
        Share of the day's opening corpus (0.01 = 1 %); below 0 where LOW_PROFIT is to bear a loss.
    """

    kind: ProtectionKind
    per: Per
    block_ns: int
    lookback_ns: int = 0
    trades: int = 1
    limit: float = 0.0


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """A trade group that is over; ``side`` is that of its entry, ``is_stopped``: lost at its stop."""

    group_id: str
    advisor_id: str
    underlying: str
    side: str
    ended_ns: int
    is_stopped: bool
    net_pnl_paise: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Entries of a scope are paused until a moment, ns UTC."""

    scope: str
    until_ns: int
    reason: str


def side_scope(side: str) -> str:
    """Name the scope of all trades that open on one side.

    Examples
    --------
    >>> side_scope("BUY")
    'SIDE:BUY'
    """
    return f"{Per.SIDE.value}:{side}"


def pauses_after(
    trades: Sequence[ClosedTrade], protections: Sequence[Protection], opening_paise: int
) -> tuple[Pause, ...]:
    """Say what the last of some trades leads to.

    Parameters
    ----------
    trades : sequence of ClosedTrade
        In the order they were told; at least those within the longest look-back. Empty: nothing
        follows.
    protections : sequence of Protection
    opening_paise : int
        Corpus at the day's start, paise; shares of nothing are not judged.

    Returns
    -------
    tuple of Pause
        In the order of the protections.

    Notes
    -----
    A clock that was set back lets the last trade end before one that was told earlier. Their order stays the
    one they were told in, and a pause is counted from the clock as it is now.
    """
    if not trades:
        return ()
    last = trades[-1]
    found = []
    for protection in protections:
        name = _name(last, protection.per)
        since_ns = last.ended_ns - protection.lookback_ns
        own = [t for t in trades if t.ended_ns > since_ns and _name(t, protection.per) == name]
        reason = _reason(own or [last], protection, opening_paise)
        if reason is not None:
            scope = f"{protection.per.value}:{name}"
            found.append(Pause(scope, last.ended_ns + protection.block_ns, f"{reason} of {scope}"))
    return tuple(found)


def keep_closed(
    trades: Sequence[ClosedTrade], protections: Sequence[Protection], now_ns: int
) -> tuple[ClosedTrade, ...]:
    """Keep what the longest look-back may still ask for; nothing where nothing looks back."""
    longest = max((protection.lookback_ns for protection in protections), default=0)
    return tuple(trade for trade in trades if trade.ended_ns > now_ns - longest)


def _name(trade: ClosedTrade, per: Per) -> str:
    return {Per.ADVISOR: trade.advisor_id, Per.UNDERLYING: trade.underlying, Per.SIDE: trade.side}[per]


def _reason(own: Sequence[ClosedTrade], protection: Protection, opening_paise: int) -> str | None:
    """Why a protection pauses after these trades, the last of which has just ended; None = it does not."""
    kind = protection.kind
    if kind is ProtectionKind.COOL_DOWN:
        return f"a cool-down of {protection.block_ns // NS_PER_MINUTE} min after a trade"
    if kind is ProtectionKind.STOP_STREAK:
        stopped = sum(trade.is_stopped for trade in own)
        is_new = own[-1].is_stopped and stopped >= protection.trades
        return f"{stopped} trades lost at their stops" if is_new else None
    if len(own) < protection.trades or opening_paise <= 0:
        return None
    results = [trade.net_pnl_paise / opening_paise for trade in own]
    if kind is ProtectionKind.LOW_PROFIT:
        total = sum(results)
        return f"a result of {total:.2%} over {len(own)} trades" if total < protection.limit else None
    value = peak = deepest = 0.0
    for result in results:
        value += result
        peak = max(peak, value)
        deepest = max(deepest, peak - value)
    return f"a drawdown of {deepest:.2%} over {len(own)} trades" if deepest > protection.limit else None
