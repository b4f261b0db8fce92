"""Lot sizes and freeze quantities of indices for files that carry none, from the dated table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from adapters.settings import CLONE_ROOT
from propdesk.core.errors import ConfigFault

SIZES_FILE = CLONE_ROOT / "config" / "contract_sizes.yaml"


@dataclass(frozen=True, slots=True)
class ContractSizes:
    """Dated sizes of contracts.

    Attributes
    ----------
    lots, freeze : dict of str to list of (date, int)
        Steps of (from when, units) per index, rising, from ``config/contract_sizes.yaml``.
    table : mapping of (str, date) to int
        Units per lot by underlying and month of expiry: the exchange's lot table that holds on the file's
        day. It speaks of stocks too, and before the steps.
    """

    lots: dict[str, list[tuple[date, int]]]
    freeze: dict[str, list[tuple[date, int]]]
    table: Mapping[tuple[str, date], int] = field(default_factory=dict)

    def lot_size(self, underlying: str, expiry: date) -> int | None:
        """Units per lot of the contract that expires then; None if unknown."""
        return self.table.get((underlying, expiry.replace(day=1))) or _step(
            self.lots.get(underlying, []), expiry
        )

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
        return ContractSizes(_steps(data["lots"], "expiry_from"), _steps(data["freeze"], "since"))
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ConfigFault(f"{path} is not a usable table of contract sizes: {error}.") from error


def _steps(data: dict[str, list[dict[str, Any]]], key: str) -> dict[str, list[tuple[date, int]]]:
    return {name: sorted((row[key], int(row["units"])) for row in rows) for name, rows in data.items()}


def _step(steps: list[tuple[date, int]], day: date) -> int | None:
    found = None
    for since, units in steps:
        if since <= day:
            found = units
    return found
