"""Lot sizes and freeze quantities of indices for files that carry none, from the dated table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

import yaml

from adapters.settings import CLONE_ROOT
from propdesk.core.errors import ConfigFault

SIZES_FILE = CLONE_ROOT / "config" / "contract_sizes.yaml"


_QUARTER_MONTHS: Final = frozenset({3, 6, 9, 12})


@dataclass(frozen=True, slots=True)
class LotStep:
    """One change of an index's lot.

    Attributes
    ----------
    expiry_from : date
        Counts for contracts that expire from then on.
    units : int
        Units per lot.
    since : date
        Day before which no contract had this lot.
    quarterly_since : date
        Day from which contracts of quarter months have it: they are listed years before and keep the old lot
        until the exchange converts them on one evening.
    """

    expiry_from: date
    units: int
    since: date = date.min
    quarterly_since: date = date.min

    def holds(self, expiry: date, day: date) -> bool:
        """Whether the contract that expires then has this lot on a day."""
        since = max(self.since, self.quarterly_since if expiry.month in _QUARTER_MONTHS else date.min)
        return self.expiry_from <= expiry and since <= day


@dataclass(frozen=True, slots=True)
class ContractSizes:
    """Dated sizes of contracts.

    Attributes
    ----------
    lots : dict of str to list of LotStep
        Per index, rising, from ``config/contract_sizes.yaml``.
    freeze : dict of str to list of (date, int)
        Per index (from when, units), rising, from the same file.
    table : mapping of (str, date) to int
        Units per lot by underlying and month of expiry: the exchange's lot table that holds on the file's
        day. It speaks of stocks too, and before the steps.
    """

    lots: dict[str, list[LotStep]]
    freeze: dict[str, list[tuple[date, int]]]
    table: Mapping[tuple[str, date], int] = field(default_factory=dict)

    def lot_size(self, underlying: str, expiry: date, day: date) -> int | None:
        """Units per lot, on a day, of the contract that expires then; None if unknown."""
        listed = self.table.get((underlying, expiry.replace(day=1)))
        if listed is not None:
            return listed
        held = [step.units for step in self.lots.get(underlying, []) if step.holds(expiry, day)]
        return held[-1] if held else None

    def freeze_quantity(self, underlying: str, day: date) -> int:
        """Largest quantity of one order on a day, units; 0 = no limit known."""
        return _step(self.freeze.get(underlying, []), day) or 0


def load_contract_sizes(path: Path = SIZES_FILE) -> ContractSizes:
    """Read the dated table.

    Raises
    ------
    ConfigFault
        If the file is missing or malformed.
    """
    try:
        data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        return ContractSizes(
            {
                name: sorted((LotStep(**row) for row in rows), key=lambda step: step.expiry_from)
                for name, rows in data["lots"].items()
            },
            {
                name: sorted((row["since"], int(row["units"])) for row in rows)
                for name, rows in data["freeze"].items()
            },
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ConfigFault(f"{path} is not a usable table of contract sizes: {error}.") from error


def _step(steps: list[tuple[date, int]], day: date) -> int | None:
    found = None
    for since, units in steps:
        if since <= day:
            found = units
    return found
