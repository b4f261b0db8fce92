"""Long comparison of the outcome kernel with its oracle: ``python -m tests.sweeps.outcome_equality [N]``.

Draws N ideas (a hundred thousand by default), resolves each by both, ends at the first difference, and prints
how many of each kind there were and how they ended.
"""

import sys
from collections import Counter

import numpy as np

from propdesk.execution.trade_group import split_legs
from propdesk.model.enums import Category, EntryType, ExitReason, FollowupKind, Period, Product, Side
from propdesk.model.messages import BarObserved
from propdesk.model.order import TradeGroup
from propdesk.model.signal import Followup
from propdesk.model.trade import Outcome
from propdesk.pipeline import outcome_kernel as kernel
from propdesk.pipeline.outcome import resolve_outcome
from propdesk.ports import BarArrays

BARS_A_DAY = 8
DAY = 1_000
STEP = 100
LATENCY = 7
TARGET_COLUMNS = 3
TIMED = (ExitReason.SQUARE_OFF, ExitReason.TIME_OUT, ExitReason.PRE_EXPIRY, ExitReason.EXPIRY)


def session_of(moment: int) -> tuple[int, int] | None:
    """Sessions of the toy market: [day start, day start + 8 bars]."""
    opened = moment // DAY * DAY
    return (opened, opened + BARS_A_DAY * STEP) if moment - opened <= BARS_A_DAY * STEP else None


def make_bars(rng: np.random.Generator) -> list[BarObserved]:
    """Coarse prices on few levels, so that gaps, ties and bars with both levels are common."""
    bars = []
    price = int(rng.integers(90, 111))
    for day in range(int(rng.integers(1, 6))):
        price = max(20, price + int(rng.integers(-8, 9)))
        if rng.random() < 0.08:
            continue
        last = BARS_A_DAY if rng.random() < 0.7 else int(rng.integers(1, BARS_A_DAY + 1))
        for number in range(last):
            if rng.random() < 0.15:
                continue
            opened = max(20, price + int(rng.integers(-3, 4)))
            closed = max(20, opened + int(rng.integers(-4, 5)))
            high = max(opened, closed) + int(rng.integers(0, 5))
            low = min(opened, closed) - int(rng.integers(0, 5))
            start = day * DAY + number * STEP
            bars.append(BarObserved("K", start, STEP, opened, high, low, closed, 10))
            price = closed
    return bars


def make_group(rng: np.random.Generator, number: int) -> TradeGroup:
    """Draw an idea near the starting prices."""
    side = Side.BUY if rng.random() < 0.5 else Side.SELL
    kind = list(EntryType)[rng.integers(4)]
    entry = int(rng.integers(95, 106))
    low = None if kind is EntryType.MARKET else entry
    high = None if low is None else entry + (int(rng.integers(0, 4)) if kind is EntryType.RANGE else 0)
    stop = None if rng.random() < 0.2 else entry - side.sign * int(rng.integers(2, 12))
    distances = np.cumsum(rng.integers(1, 7, size=rng.integers(0, 4)))
    targets = tuple(
        int((entry if low is None or high is None else high if side is Side.BUY else low) + side.sign * d)
        for d in distances
    )
    active = int(rng.integers(0, DAY))
    valid = active + int(rng.integers(1, 3 * DAY))
    exit_day = max(active // DAY, int(rng.integers(0, 5)))
    exit_at: int | None = exit_day * DAY + int(rng.integers(1, BARS_A_DAY * STEP + 1))
    if exit_at is None or exit_at <= active or rng.random() < 0.15:
        exit_at = None
    lot = int(rng.integers(1, 4))
    return TradeGroup(
        group_id=str(number),
        signal_id=str(number),
        advisor_id="A",
        instrument_key="K",
        category=Category.NSE_EQ,
        period=Period.SWING,
        product=Product.CNC,
        side=side,
        entry_type=kind,
        entry_low_paise=low,
        entry_high_paise=high,
        stop_paise=stop,
        targets_paise=targets,
        lot_size=lot,
        tick_paise=int(rng.integers(1, 4)),
        margin_paise=0,
        active_from_ns=active,
        valid_until_ns=valid if exit_at is None else min(valid, exit_at),
        exit_at_ns=exit_at,
        exit_at_reason=None if exit_at is None else TIMED[rng.integers(4)],
        legs=split_legs(int(rng.integers(1, 8)), lot, targets, stop),
    )


def make_followups(rng: np.random.Generator, group: TradeGroup) -> list[Followup]:
    """Draw what the advisor says later, at any moment, useful or not."""
    found = []
    for number in range(int(rng.integers(0, 4)) if rng.random() < 0.6 else 0):
        kind = list(FollowupKind)[rng.integers(len(FollowupKind))]
        base = 100 + int(rng.integers(-12, 13))
        found.append(
            Followup(
                followup_id=f"{group.group_id}-{number}",
                signal_id=group.signal_id,
                source="test",
                advisor_id="A",
                underlying=None,
                posted_ns=0,
                received_ns=group.active_from_ns + int(rng.integers(-50, 2 * DAY)),
                kind=kind,
                stoploss_paise=base if rng.random() < 0.9 else None,
                targets_paise=tuple(int(base + d) for d in rng.integers(-9, 10, size=rng.integers(0, 3))),
                fraction=float(rng.random()),
            )
        )
    return found


def to_arrays(
    groups: list[TradeGroup],
    followups: list[list[Followup]],
    bars: list[list[BarObserved]],
    known_until: list[int],
) -> tuple[BarArrays, kernel.IdeaArrays, kernel.FollowupArrays]:
    """Lay the drawn ideas out as the kernel wants them."""
    flat = [bar for series in bars for bar in series]
    bar_arrays = BarArrays(
        *(
            np.array([getattr(b, name) for b in flat], np.int64)
            for name in ("start_ns", "open_paise", "high_paise", "low_paise", "close_paise", "volume")
        ),
        interval_ns=STEP,
    )
    offset, first, end = 0, [], []
    for group, series, known in zip(groups, bars, known_until, strict=True):
        usable = [
            i
            for i, bar in enumerate(series)
            if bar.start_ns >= group.active_from_ns and bar.start_ns + STEP <= known
        ]
        first.append(offset + (usable[0] if usable else 0))
        end.append(offset + (usable[-1] + 1 if usable else 0))
        offset += len(series)
    width = max(len(group.legs) for group in groups)
    quantity = np.zeros((len(groups), width), np.int64)
    target = np.full((len(groups), width), kernel.NONE, np.int64)
    for row, group in enumerate(groups):
        for leg in group.legs:
            quantity[row, leg.leg_number - 1] = leg.quantity
            target[row, leg.leg_number - 1] = kernel.NONE if leg.target_paise is None else leg.target_paise
    acts, begins, ends = [], [], []
    for group, said in zip(groups, followups, strict=True):
        begins.append(len(acts))
        acts.extend((group, f) for f in sorted(said, key=lambda f: (f.received_ns, f.followup_id)))
        ends.append(len(acts))
    targets = np.full((len(acts), TARGET_COLUMNS), kernel.NONE, np.int64)
    for row, (group, followup) in enumerate(acts):
        ordered = sorted(followup.targets_paise, reverse=group.side is Side.SELL)
        targets[row, : len(ordered)] = ordered
    sessions = [session_of(f.received_ns + LATENCY) or (0, 0) for _, f in acts]
    exit_sessions = [session_of(g.exit_at_ns) if g.exit_at_ns is not None else (0, 0) for g in groups]

    def column(values: list[int | None]) -> np.ndarray:
        return np.array([kernel.NONE if v is None else v for v in values], np.int64)

    ideas = kernel.IdeaArrays(
        first_bar=column(first),
        end_bar=column(end),
        sign=column([g.side.sign for g in groups]),
        entry_type=column([kernel.ENTRY_CODES[g.entry_type] for g in groups]),
        entry_low=column([g.entry_low_paise for g in groups]),
        entry_high=column([g.entry_high_paise for g in groups]),
        stop=column([g.stop_paise for g in groups]),
        first_target=column([g.targets_paise[0] if g.targets_paise else None for g in groups]),
        lot_size=column([g.lot_size for g in groups]),
        tick=column([g.tick_paise for g in groups]),
        valid_until=column([g.valid_until_ns for g in groups]),
        exit_at=column([kernel.NEVER if g.exit_at_ns is None else g.exit_at_ns for g in groups]),
        exit_reason=column(
            [kernel.REASON_CODES[g.exit_at_reason] if g.exit_at_reason else None for g in groups]
        ),
        exit_open=column([s[0] for s in exit_sessions]),
        exit_close=column([s[1] for s in exit_sessions]),
        known_until=column(known_until),
        leg_quantity=quantity,
        leg_target=target,
        first_followup=column(begins),
        end_followup=column(ends),
    )
    said = [f for _, f in acts]
    return (
        bar_arrays,
        ideas,
        kernel.FollowupArrays(
            act_ns=column([f.received_ns + LATENCY for f in said]),
            kind=column([kernel.KIND_CODES[f.kind] for f in said]),
            stop=column([f.stoploss_paise for f in said]),
            targets=targets,
            fraction=np.array([f.fraction or 0.0 for f in said], np.float64),
            session_open=column([s[0] for s in sessions]),
            session_close=column([s[1] for s in sessions]),
        ),
    )


def kernel_view(trade: np.ndarray, legs: np.ndarray, sign: int) -> tuple[object, ...]:
    """Say what the kernel found in the oracle's words."""
    k = kernel
    filled = [leg for leg in legs if leg[k.ENTRY] != k.NONE]
    closed = [leg for leg in filled if leg[k.STATE] == k.CLOSED]

    def average(leg: np.ndarray) -> int:
        return int((2 * leg[k.NOTIONAL] + leg[k.EXITED]) // (2 * leg[k.EXITED]))

    gross = None
    if filled and len(closed) == len(filled):
        gross = int(sum(sign * (average(leg) - leg[k.ENTRY]) * leg[k.QUANTITY] for leg in filled))
    return (
        kernel.REASONS[trade[k.OUT_REASON]],
        None if trade[k.OUT_ENTRY_NS] == k.NONE else int(trade[k.OUT_ENTRY_NS]),
        int(trade[k.OUT_TARGETS_HIT]),
        bool(trade[k.OUT_AMBIGUOUS]),
        gross,
        tuple(
            (int(leg[k.ENTRY]), average(leg), int(leg[k.EXIT_NS]), kernel.REASONS[leg[k.REASON]])
            for leg in closed
        ),
    )


def oracle_view(outcome: Outcome) -> tuple[object, ...]:
    """Say what the oracle found in the same shape."""
    return (
        outcome.exit_reason,
        outcome.entry_ns,
        outcome.targets_hit,
        outcome.ambiguous_bar,
        outcome.gross_pnl_paise,
        tuple((leg.entry_paise, leg.exit_paise, leg.exit_ns, leg.exit_reason) for leg in outcome.legs),
    )


def compare(count: int, seed: int) -> tuple[Counter[str], Counter[str]]:
    """Resolve ``count`` drawn ideas twice; fails on the first difference, counts kinds of ideas and ends."""
    rng = np.random.default_rng(seed)
    groups, followups, bars, known = [], [], [], []
    for number in range(count):
        group = make_group(rng, number)
        groups.append(group)
        followups.append(make_followups(rng, group))
        bars.append(make_bars(rng))
        known.append(6 * DAY if rng.random() < 0.7 else int(rng.integers(1, 6 * DAY)))
    arrays = to_arrays(groups, followups, bars, known)
    bars_of_all, ideas, acts = arrays
    trades, legs, _ = kernel.resolve_all([(bars_of_all, np.arange(count))], ideas, acts)
    ends: Counter[str] = Counter()
    for row, group in enumerate(groups):
        outcome = resolve_outcome(
            group,
            bars[row],
            followups[row],
            session_of=session_of,
            latency_ns=LATENCY,
            known_until_ns=known[row],
        )
        found = kernel_view(trades[row], legs[row], group.side.sign)
        wanted = oracle_view(outcome)
        assert found == wanted, f"trade {row} of seed {seed}: kernel {found}, oracle {wanted}"
        ends[outcome.exit_reason.value] += 1
        ends["filled"] += outcome.entry_ns is not None
        ends["ambiguous"] += outcome.ambiguous_bar
    return _kinds(groups, followups), ends


def _kinds(groups: list[TradeGroup], followups: list[list[Followup]]) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for group, said in zip(groups, followups, strict=True):
        kinds.update((group.side.value, group.entry_type.value))
        kinds["several targets"] += len(group.targets_paise) > 1
        kinds["no stop"] += group.stop_paise is None
        kinds["follow-ups"] += bool(said)
        kinds["timed exit"] += group.exit_at_ns is not None
    return kinds


def main() -> None:
    """Compare in parts and print the counts of all."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    done, kinds, ends = 0, Counter[str](), Counter[str]()
    while done < total:
        size = min(10_000, total - done)
        for counted, found in zip((kinds, ends), compare(size, seed=1_000 + done), strict=True):
            counted.update(found)
        done += size
        sys.stderr.write(f"{done:,} of {total:,} compared\n")
    for title, counted in (("drawn", kinds), ("ended", ends)):
        words = ", ".join(f"{name} {number:,}" for name, number in counted.most_common())
        sys.stdout.write(f"{title}: {words}\n")
    sys.stdout.write(f"all {total:,} outcomes equal\n")


if __name__ == "__main__":
    main()
