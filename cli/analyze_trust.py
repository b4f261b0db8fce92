"""`propdesk analyze trust`: recent against overall win rate from a plain file (§3.5, §3.6, §7.4)."""

import math
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.output import JsonOption, emit, parse_day, say, show_table
from propdesk.core.errors import ConfigFault

COLUMNS = ("group_id", "exit_at", "net_pnl")
_KEYS = ("n", "n_eff", "uwr", "wwr", "divergence", "flag")


def _rupees(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value


def _optional_moment(text: str) -> int | None:
    from cli.plain_files import moment_ns

    return moment_ns(text) if text else None


def trust_of_file(path: Path, as_of: date, half_life: float) -> dict[str, dict[str, Any]]:
    """Compute the trust reading of every group of a file.

    Parameters
    ----------
    path : Path
        Columns ``group_id, exit_at`` (empty = open), ``net_pnl``.
    as_of : date
        IST day; rows that end later, or not at all, do not count.
    half_life : float
        Calendar days.

    Returns
    -------
    dict of group to dict
        ``n, n_eff, uwr, wwr`` (percent), ``divergence`` (percentage points), ``flag``.

    Raises
    ------
    SchemaFault
        Naming file, row and column.
    """
    import numpy as np

    from cli.plain_files import needed_text, read_column, read_table
    from propdesk.core.calendar import ist_date
    from propdesk.metrics.trust import trust

    frame = read_table(path, COLUMNS)
    groups = read_column(path, frame, "group_id", needed_text)
    exits = read_column(path, frame, "exit_at", _optional_moment)
    results = read_column(path, frame, "net_pnl", _rupees)
    rows: dict[str, list[tuple[int, bool]]] = {group: [] for group in groups}
    for group, ns, pnl in zip(groups, exits, results, strict=True):
        if ns is not None and ist_date(ns) <= as_of:
            rows[group].append(((as_of - ist_date(ns)).days, pnl > 0))
    out: dict[str, dict[str, Any]] = {}
    for group in sorted(rows):
        ages = np.array([age for age, _ in rows[group]], dtype=np.float64)
        wins = np.array([win for _, win in rows[group]], dtype=bool)
        found = trust(ages, wins, half_life_days=half_life)
        values = (
            found.n,
            found.n_eff if found.n else 0.0,
            100 * found.win_rate,
            100 * found.win_rate_weighted,
            100 * found.divergence,
            found.flag.value if found.flag else None,
        )
        out[group] = dict(zip(_KEYS, values, strict=True))
    return out


def trust_command(
    trades: Annotated[Path, typer.Option("--trades", help="CSV or Parquet of closed trades.")],
    as_of: Annotated[str, typer.Option("--as-of", help="IST day at whose end to judge.")],
    half_life: Annotated[float, typer.Option("--half-life", help="Calendar days.")] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Compare each group's recent with its overall win rate."""
    if not 0 < half_life < math.inf:
        raise ConfigFault(f"--half-life: {half_life} is not above 0.")
    found = trust_of_file(trades, parse_day(as_of, "--as-of"), half_life)
    say(f"{len(found)} groups in {trades}")
    if as_json:
        emit(found)
        return
    rows = [
        (group, *(f"{v:.2f}" if isinstance(v, float) else v for v in values.values()))
        for group, values in found.items()
    ]
    show_table("Trust", ("group", "n", "n_eff", "win %", "weighted %", "divergence", "flag"), rows)


def register(group: typer.Typer) -> None:
    """Add the command to ``propdesk analyze``."""
    group.command("trust")(trust_command)
