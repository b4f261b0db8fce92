"""Closed trades as metrics see them."""

from dataclasses import dataclass

from propdesk.model.enums import ExitReason, Side


@dataclass(frozen=True, slots=True)
class LegOutcome:
    """What became of one leg (§2.5)."""

    leg_number: int
    quantity: int
    entry_paise: int
    exit_paise: int
    entry_ns: int
    exit_ns: int
    exit_reason: ExitReason
    exit_target: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the market says about one signal (§2.5).

    ``entry_*`` and ``exit_*`` are None where there was none; the exit is the last leg's;
    gross P&L is the sum over legs, before slippage and charges.
    """

    side: Side
    exit_reason: ExitReason
    entry_paise: int | None
    entry_ns: int | None
    exit_paise: int | None
    exit_ns: int | None
    gross_pnl_paise: int | None
    quantity: int
    targets_hit: int
    ambiguous_bar: bool
    legs: tuple[LegOutcome, ...]
