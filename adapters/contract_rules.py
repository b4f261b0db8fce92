"""Reads the dated contract rules of the generated market."""

from pathlib import Path
from typing import Any

import yaml

from propdesk.core.errors import ConfigFault
from propdesk.sim.market_rules import ContractRules, ExpiryRule, FreezeRule, LotRule, TickRule

CONTRACT_RULES_FILE = Path(__file__).resolve().parents[1] / "config" / "contract_rules.yaml"


def load_contract_rules(file: Path = CONTRACT_RULES_FILE) -> ContractRules:
    """Read expiries, lots, freeze quantities and ticks.

    Parameters
    ----------
    file : Path
        YAML as in config/contract_rules.yaml.

    Returns
    -------
    ContractRules
        Dated rules.

    Raises
    ------
    ConfigFault
        If the file is missing or malformed.
    """
    try:
        data: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        return ContractRules(
            expiries=tuple(ExpiryRule(**row) for row in data["expiries"]),
            lots=tuple(LotRule(**row) for row in data["lots"]),
            freezes=tuple(FreezeRule(**row) for row in data["freeze_quantities"]),
            ticks=tuple(
                TickRule(row["kind"], row["since"], tuple((high, tick) for high, tick in row["bands"]))
                for row in data["ticks"]
            ),
        )
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ConfigFault(f"{file} is not a usable table of contract rules: {error}") from error
