"""Faults that can be armed, each counted when it strikes (reliability: required faults)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from propdesk.core.errors import ConfigFault


class FaultKind(StrEnum):
    """What may go wrong; the comment names the parameters of `Fault.values` it reads."""

    # answers to calls; ``effect`` true: the call was carried out all the same
    TIME_OUT = "TIME_OUT"  # effect; no answer ever
    LATE_ACCEPT = "LATE_ACCEPT"  # delay_s; no answer, carried out later
    ERROR_STATUS = "ERROR_STATUS"  # status (500, 502, 503, 504), effect
    RATE_LIMIT = "RATE_LIMIT"
    HTML_BODY = "HTML_BODY"  # effect
    TRUNCATED_JSON = "TRUNCATED_JSON"  # effect
    RESET_MID_BODY = "RESET_MID_BODY"  # effect
    SLOW_DRIP = "SLOW_DRIP"  # byte_s; effect
    IP_REFUSED = "IP_REFUSED"
    CLOCK_SKEW = "CLOCK_SKEW"  # skew_s of the Date header
    # life of orders
    TRANSIT = "TRANSIT"  # delay_s
    EXCHANGE_REJECT = "EXCHANGE_REJECT"  # reason
    PARTIAL_ENTRY = "PARTIAL_ENTRY"  # pieces: one per price that reaches the order
    PARTIAL_CANCEL = "PARTIAL_CANCEL"  # share of the quantity that fills before the exchange cancels
    STOP_REJECTED = "STOP_REJECTED"
    STOP_MISSING = "STOP_MISSING"
    BOTH_EXITS_FILL = "BOTH_EXITS_FILL"
    EXIT_UNFILLED = "EXIT_UNFILLED"  # CLOSED with a live position
    MARKET_UNFILLED = "MARKET_UNFILLED"  # protection leaves the order resting
    # look-ups
    LOOKUP_LAG = "LOOKUP_LAG"  # delay_s: younger orders are not shown
    LOOKUP_404 = "LOOKUP_404"
    LIST_OMITS_NEWEST = "LIST_OMITS_NEWEST"
    LIST_EMPTY = "LIST_EMPTY"
    LIST_PAGE = "LIST_PAGE"  # rows
    # order-update stream
    STREAM_DROP = "STREAM_DROP"
    STREAM_DUPLICATE = "STREAM_DUPLICATE"  # times
    STREAM_REORDER = "STREAM_REORDER"
    STREAM_LATE = "STREAM_LATE"  # delay_s
    STREAM_MALFORMED = "STREAM_MALFORMED"
    STREAM_MUTE = "STREAM_MUTE"  # every message until disarmed
    STREAM_DISCONNECT = "STREAM_DISCONNECT"
    SOCKET_401 = "SOCKET_401"
    # market feed
    FEED_MUTE = "FEED_MUTE"
    FEED_STALE = "FEED_STALE"  # delay_s: old stamps
    FEED_DISCONNECT = "FEED_DISCONNECT"
    # done at once by the control interface
    TOKEN_REVOKE = "TOKEN_REVOKE"  # noqa: S105 - a word of the list
    SQUARE_OFF = "SQUARE_OFF"
    MANUAL_ORDER = "MANUAL_ORDER"
    MANUAL_CANCEL = "MANUAL_CANCEL"
    RESTART = "RESTART"  # lose_transit
    # properties of the sandbox that strike by themselves
    MODIFICATION_LIMIT = "MODIFICATION_LIMIT"
    KILL_REFUSED = "KILL_REFUSED"
    FREEZE_REFUSED = "FREEZE_REFUSED"
    BAND_REFUSED = "BAND_REFUSED"
    MARGIN_REFUSED = "MARGIN_REFUSED"


@dataclass(slots=True)
class Fault:
    """An armed fault.

    Attributes
    ----------
    kind : FaultKind
    count : int
        How many more times it strikes; -1 = until disarmed.
    share : float
        Probability that it strikes where it could.
    every : int
        It strikes at each ``every``-th occasion only.
    path : str
        Only calls whose path contains this text; empty = any. For orders: the correlation id's beginning.
    method : str
        Only calls of this method; empty = any.
    values : dict
        Parameters of the kind.
    """

    kind: FaultKind
    count: int = 1
    share: float = 1.0
    every: int = 1
    path: str = ""
    method: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    occasions: int = 0


class FaultPlan:
    """Armed faults and how often each kind struck."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.armed: list[Fault] = []
        self.hits: Counter[FaultKind] = Counter()

    def arm(self, fault: Fault) -> None:
        """Add a fault; of several that fit, the oldest strikes first."""
        self.armed.append(fault)

    def disarm(self, kind: FaultKind | None = None) -> int:
        """Take faults of a kind (all by default) away; gives how many."""
        kept = [] if kind is None else [fault for fault in self.armed if fault.kind is not kind]
        gone = len(self.armed) - len(kept)
        self.armed = kept
        return gone

    def take(self, *kinds: FaultKind, path: str = "", method: str = "") -> Fault | None:
        """Let the first fitting fault strike; None where none does."""
        for fault in self.armed:
            fits = (
                fault.kind in kinds
                and fault.path in path
                and (not fault.method or fault.method == method)
                and fault.count != 0
            )
            if not fits or not self._is_due(fault):
                continue
            if fault.count > 0:
                fault.count -= 1
                if fault.count == 0:
                    self.armed.remove(fault)
            self.strike(fault.kind)
            return fault
        return None

    def _is_due(self, fault: Fault) -> bool:
        fault.occasions += 1
        if fault.occasions % fault.every:
            return False
        return fault.share >= 1.0 or bool(self._rng.random() < fault.share)

    def strike(self, kind: FaultKind) -> None:
        """Count a fault that was not armed but done, or that is a property of the sandbox."""
        self.hits[kind] += 1


def fault_from(values: Mapping[str, Any]) -> Fault:
    """Build a fault from plain JSON: the fields of `Fault` but ``values``; the rest are parameters.

    Raises
    ------
    ConfigFault
        If the kind is unknown or a number is no number.
    """
    rest = dict(values)
    try:
        kind = FaultKind(str(rest.pop("kind", "")).upper())
    except ValueError:
        raise ConfigFault(f"No such fault; there are {', '.join(FaultKind)}.") from None
    try:
        return Fault(
            kind=kind,
            count=int(rest.pop("count", 1)),
            share=float(rest.pop("share", 1.0)),
            every=max(1, int(rest.pop("every", 1))),
            path=str(rest.pop("path", "")),
            method=str(rest.pop("method", "")).upper(),
            values=rest,
        )
    except (TypeError, ValueError):
        raise ConfigFault("count and every must be whole numbers, share a number between 0 and 1.") from None
