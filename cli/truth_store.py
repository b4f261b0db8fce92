"""Figures of seeds that were judged before, so that a report that was broken off goes on."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cli.market import write_text
from propdesk.core.errors import SchemaFault
from propdesk.model.enums import GateProfile
from propdesk.sim.advisor_habits import Kind
from propdesk.sim.truth import Advisor, ProfileFigures, SeedFigures, Tally, World


def file_of(folder: Path, seed: int, *, is_planted: bool) -> Path:
    """Name the file of one seed's worlds with, or without, skill."""
    return folder / f"seed-{seed:04d}-{'planted' if is_planted else 'no-skill'}.json"


def write_figures(file: Path, asked: Mapping[str, Any], figures: Sequence[SeedFigures]) -> None:
    """Keep figures beside what was asked for them, whole or not at all."""
    content = {"asked": dict(asked), "figures": [asdict(one) for one in figures]}
    write_text(file, [json.dumps(_without_nan(content), indent=1, allow_nan=False)])


def read_figures(file: Path, asked: Mapping[str, Any]) -> list[SeedFigures] | None:
    """Read figures back.

    Returns
    -------
    list of SeedFigures or None
        None where there are none, or others were asked for.

    Raises
    ------
    SchemaFault
        If the file is not one of these.
    """
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["asked"] != asked:
            return None
        return [_figures(one) for one in content["figures"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SchemaFault(f"{file} does not hold a seed's figures ({error}): delete it.") from error


def _figures(content: Mapping[str, Any]) -> SeedFigures:
    return SeedFigures(
        seed=content["seed"],
        world=World(content["world"]),
        as_of_dates=content["as_of_dates"],
        market_days=content["market_days"],
        ideas=content["ideas"],
        spearman=_number(content["spearman"]),
        advisors=[_advisor(one) for one in content["advisors"]],
        profiles={
            GateProfile(name): ProfileFigures(
                found["eligible"],
                found["adverse"],
                {advisor: Tally(**tally) for advisor, tally in found["tallies"].items()},
            )
            for name, found in content["profiles"].items()
        },
        bins=[(cells, above) for cells, above in content["bins"]],
        slope=content["slope"],
    )


def _advisor(content: Mapping[str, Any]) -> Advisor:
    numbers = {name: _number(content[name]) for name in ("points", "true_r", "post_mean_r", "prob_edge")}
    return Advisor(**{**content, **numbers, "kind": Kind(content["kind"])})


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
