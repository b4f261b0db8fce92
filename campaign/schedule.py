"""What happens in one schedule: ideas, prices, faults, deaths, clock steps; all of it from one seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from campaign import market
from campaign.fate import AFTER, ANY, BEFORE, Ending, Fate
from campaign.points import POINTS
from propdesk.core.clock import NS_PER_SECOND, from_ns
from sandbox.app import WIRE_FAULTS
from sandbox.faults import Fault, FaultKind

SETTLE_S: Final = 240
"""Longest time that everything may take to come to rest once nothing goes wrong any more."""

ORDERS: Final = (
    FaultKind.TRANSIT,
    FaultKind.EXCHANGE_REJECT,
    FaultKind.PARTIAL_ENTRY,
    FaultKind.PARTIAL_CANCEL,
    FaultKind.STOP_REJECTED,
    FaultKind.STOP_MISSING,
    FaultKind.BOTH_EXITS_FILL,
    FaultKind.EXIT_UNFILLED,
)
"""What may go wrong with an order."""
LISTS: Final = (
    FaultKind.LOOKUP_LAG,
    FaultKind.LIST_OMITS_NEWEST,
    FaultKind.LIST_EMPTY,
    FaultKind.LIST_PAGE,
)
STREAM: Final = (
    FaultKind.STREAM_DROP,
    FaultKind.STREAM_DUPLICATE,
    FaultKind.STREAM_REORDER,
    FaultKind.STREAM_LATE,
    FaultKind.STREAM_MALFORMED,
    FaultKind.STREAM_MUTE,
    FaultKind.STREAM_DISCONNECT,
    FaultKind.SOCKET_401,
)
_LEVELS: Final = ("ENTRIES_BLOCKED", "REDUCE_ONLY", "LIQUIDATING")
_WRITES: Final = ("POST", "PUT", "DELETE")


@dataclass(frozen=True, slots=True)
class At:
    """Something that is done at a moment, seconds after the start."""

    at_s: float
    what: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """One run, wholly known beforehand.

    Attributes
    ----------
    paths : dict of str to ndarray of int64
        Price of each second by key, paise, from `market.LEAD_S` before the start on.
    acts : tuple of At
        In order of time: document, fault, token_revoke, step (wall clock, s), outage (s), command.
    fates : tuple of Fate
        One per life; the lives after the last one end by nothing but faults.
    end_s : int
        From here on nothing goes wrong any more.
    leaves : bool
        Whether a person closes everything then.
    """

    seed: int
    paths: Mapping[str, NDArray[np.int64]]
    acts: tuple[At, ...]
    fates: tuple[Fate, ...]
    end_s: int
    leaves: bool
    ideas: tuple[str, ...] = field(default=())


def make_schedule(seed: int) -> Schedule:
    """Draw a schedule; the same seed always gives the same one."""
    rng = np.random.default_rng([seed, 0x5EED])
    end_s = int(rng.integers(35, 100))
    stocks = market.STOCKS[: int(rng.integers(1, 3))]
    acts: list[At] = []
    paths, ideas = {}, []
    for number, stock in enumerate(stocks):
        starts = float(rng.uniform(1, 12)) + 6 * number
        side = "BUY" if rng.random() < 0.6 else "SELL"
        targets = int(rng.integers(1, 4))
        reach = int(rng.choice([200, 400, 600]))
        key = f"NSE_EQ:{stock}"
        advisor = market.ADVERSE if rng.random() < 0.15 else str(rng.choice(market.ADVISORS))
        paths[key] = _path(rng, starts, end_s, side, reach, is_adverse=advisor == market.ADVERSE)
        document = _idea(rng, starts, f"s{number}", stock, side, advisor, reach, targets)
        ideas.append(f"s{number}")
        acts.append(At(starts, "document", document))
        if rng.random() < 0.15:
            acts.append(At(starts + float(rng.uniform(0, 20)), "document", document))
        if rng.random() < 0.35:
            at_s = starts + float(rng.uniform(2, end_s - starts))
            acts.append(At(at_s, "document", _followup(rng, at_s, f"s{number}", advisor, side, reach)))
    acts += _faults(rng, end_s)
    fates = _fates(rng)
    leaves = bool(rng.random() < 0.6)
    acts.sort(key=lambda act: act.at_s)
    return Schedule(seed, paths, tuple(acts), fates, end_s, leaves, tuple(ideas))


def _path(
    rng: np.random.Generator, starts: float, end_s: int, side: str, reach: int, *, is_adverse: bool
) -> NDArray[np.int64]:
    """Draw prices that stand until the idea, come to its entry, and go somewhere from there."""
    sign = 1 if side == "BUY" else -1
    if is_adverse:
        sign = -sign
    length = market.LEAD_S + end_s + 2 * SETTLE_S
    lead = market.LEAD_S + int(starts)
    price = np.full(length, market.PRICE_PAISE + sign * 20, dtype=np.float64)
    place = lead + int(rng.integers(1, 8))
    price[place:] = market.PRICE_PAISE - sign * 10
    level = float(market.PRICE_PAISE - sign * 10)
    while place < market.LEAD_S + end_s:
        span = int(rng.integers(4, 20))
        goal = market.PRICE_PAISE + sign * reach * float(rng.choice([-1.1, -0.5, 0, 0.5, 1.1, 2.1, 3.1]))
        steps = np.linspace(level, goal, span + 1)[1:]
        price[place : place + span] = steps[: max(0, length - place)]
        price[place + span :] = goal
        place, level = place + span, goal
    noise = rng.integers(-2, 3, length) * 5
    noise[:lead] = 0
    return (np.round(price / 5) * 5 + noise).astype(np.int64)


def _idea(
    rng: np.random.Generator,
    at_s: float,
    name: str,
    stock: str,
    side: str,
    advisor: str,
    reach: int,
    targets: int,
) -> Mapping[str, object]:
    sign = 1 if side == "BUY" else -1
    price = market.PRICE_PAISE
    levels = [price + sign * reach * (number + 1) for number in range(targets)]
    is_market = rng.random() < 0.3
    return {
        "kind": "SIGNAL",
        "source": "campaign",
        "source_message_id": name,
        "advisor_id": advisor,
        "advisor_name": "Advisor",
        "posted_at": _posted(at_s),
        "category": "NSE_EQ",
        "symbol": stock,
        "side": side,
        "entry_type": "MARKET" if is_market else "LIMIT",
        "entry_low": None if is_market else f"{price / 100:.2f}",
        "stoploss": f"{(price - sign * reach) / 100:.2f}",
        "targets": "/".join(f"{level / 100:.2f}" for level in levels),
        "period": "INTRADAY",
    }


def _posted(at_s: float) -> str:
    return from_ns(market.START_NS + round((at_s - 1) * NS_PER_SECOND)).isoformat()


def _followup(
    rng: np.random.Generator, at_s: float, name: str, advisor: str, side: str, reach: int
) -> Mapping[str, object]:
    kind = str(rng.choice(["MOVE_TO_COST", "EXIT", "CANCEL", "UPDATE_STOPLOSS", "PARTIAL_EXIT"]))
    sign = 1 if side == "BUY" else -1
    found: dict[str, object] = {
        "kind": "FOLLOWUP",
        "source": "campaign",
        "source_message_id": f"f-{name}",
        "advisor_id": advisor,
        "posted_at": _posted(at_s),
        "refers_to": name,
        "followup_kind": kind,
    }
    if kind == "UPDATE_STOPLOSS":
        found["stoploss"] = f"{(market.PRICE_PAISE - sign * reach // 2) / 100:.2f}"
    if kind == "PARTIAL_EXIT":
        found["fraction"] = "0.5"
    return found


def _faults(rng: np.random.Generator, end_s: int) -> list[At]:
    """Draw up to eight faults, an outage, a dead token, a step of the clock, a word of a person."""
    acts = []
    for _ in range(int(rng.choice([0, 1, 2, 3, 5, 8], p=[0.1, 0.2, 0.25, 0.2, 0.15, 0.1]))):
        group: Sequence[FaultKind] = (WIRE_FAULTS, ORDERS, LISTS, STREAM)[
            int(rng.choice(4, p=[0.4, 0.3, 0.15, 0.15]))
        ]
        kind = FaultKind(str(rng.choice([one.value for one in group])))
        acts.append(At(float(rng.beta(1, 2.5) * end_s), "fault", _fault(rng, kind)))  # most before a fill
    for what, share, value in (
        ("token_revoke", 0.08, None),
        ("outage", 0.06, float(rng.uniform(2, 45))),
        ("step", 0.08, float(rng.choice([-3600, -5, -1, 1, 5, 3600]))),
        (f"KILL {rng.choice(_LEVELS)}", 0.06, None),
        ("FLATTEN", 0.06, None),
        ("PAUSE", 0.06, None),
        ("ip_refused", 0.03, None),
    ):
        if rng.random() < share:
            acts.append(At(float(rng.uniform(2, end_s)), what, value))
    return acts


def _fault(rng: np.random.Generator, kind: FaultKind) -> Fault:
    if kind in WIRE_FAULTS:
        return _call_fault(rng, kind)
    if kind in LISTS:
        values = {"delay_s": float(rng.uniform(1, 10)), "rows": 1}
        return Fault(kind, count=int(rng.integers(1, 8)), path="orders", values=values)
    if kind in STREAM:
        count = -1 if kind is FaultKind.STREAM_MUTE else int(rng.integers(1, 4))
        return Fault(kind, count=count, values={"times": 3, "delay_s": float(rng.uniform(1, 10))})
    if kind is FaultKind.TRANSIT:
        return Fault(kind, values={"delay_s": float(rng.uniform(1, 30))})
    return Fault(kind, values={"pieces": int(rng.integers(2, 4))})


def _call_fault(rng: np.random.Generator, kind: FaultKind) -> Fault:
    values: dict[str, Any] = {"effect": bool(rng.integers(2))}
    path, method, count = "/super/orders", str(rng.choice(_WRITES, p=[0.5, 0.35, 0.15])), 1
    draw = rng.random()
    if draw < 0.2:
        path, method, count = "", "GET", int(rng.integers(1, 6))
    elif draw < 0.35:
        path, method = "/v2/orders", "POST"
    if kind is FaultKind.LATE_ACCEPT:
        values["delay_s"] = float(rng.choice([3, 8, 20, 60]))
    elif kind is FaultKind.ERROR_STATUS:
        values["status"] = int(rng.choice([500, 502, 503, 504]))
    elif kind is FaultKind.RATE_LIMIT:
        count = int(rng.integers(1, 5))
    return Fault(kind, count=count, path=path, method=method, values=values)


def _fates(rng: np.random.Generator) -> tuple[Fate, ...]:
    """Draw how each life ends: mostly at a named crash point, sometimes at the n-th boundary of any kind."""
    names = [point for point in POINTS if point != "C23"]
    fates = []
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.15, 0.5, 0.25, 0.1]))):
        rest_s = float(rng.choice([0.5, 1, 3, 10, 30, 75], p=[0.25, 0.3, 0.2, 0.15, 0.07, 0.03]))
        draw = rng.random()
        if draw < 0.6:
            fate = Fate(str(rng.choice(names)), int(rng.integers(1, 4)), Ending.KILL, rest_s)
        elif draw < 0.75:
            fate = Fate(ANY, int(rng.integers(5, 400)), Ending.KILL, rest_s)
        elif draw < 0.9:
            point = BEFORE if rng.random() < 0.5 else AFTER
            fate = Fate(point, int(rng.integers(1, 40)), Ending.CUT, 1.0)
        else:
            point = "C23" if rng.random() < 0.6 else ANY
            number = int(rng.integers(1, 3)) if point == "C23" else int(rng.integers(5, 300))
            fate = Fate(point, number, Ending.FREEZE, float(rng.uniform(4, 30)))
        fates.append(fate)
    return tuple(fates)
