"""`propdesk analyze excursions`: pain, opportunity and what came after, from plain files (§3.1-3.3, §7.4)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import JsonOption, say, show_figures
from propdesk.core.errors import SchemaFault

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from propdesk.metrics.excursion import PricePath, Spans

TRADE_COLUMNS = (
    *("trade_id", "instrument", "side", "entry_price", "stoploss", "target"),
    *("entry_at", "exit_at", "exit_reason"),
)
BAR_COLUMNS = ("open", "high", "low", "close")
FIGURES = (
    *("mae_pct", "mfe_pct", "post_sl_extension_pct", "post_sl_recovery_pct"),
    *("post_target_extension_pct", "wse_pct", "wte_pct"),
)
_CLOSE_MINUTE = 15 * 60 + 30


def measure(trades_file: Path, prices_file: Path) -> dict[str, dict[str, float]]:
    """Measure every trade of a file on the prices of another.

    Parameters
    ----------
    trades_file : Path
        CSV or Parquet with `TRADE_COLUMNS`; ``stoploss`` and ``target`` may be empty; a column ``exit_price``
        is used where there is one.
    prices_file : Path
        CSV or Parquet with ``instrument, ts`` and either ``price`` (ticks) or `BAR_COLUMNS` (bars of one
        minute).

    Returns
    -------
    dict of str to dict
        `FIGURES` in percent by trade_id, NaN where undefined, in the order of the file.

    Raises
    ------
    SchemaFault
        With one sentence naming file, row and column.

    Notes
    -----
    Without ``exit_price`` a trade that ended at its stop or target left there; of any other the last price at
    or before its exit counts. Every instrument closes at 15:30 IST.
    """
    import numpy as np

    from cli import plain_files as files
    from propdesk.metrics.excursion import MAE, MFE, POST_SL, POST_TARGET, RECOVERY, WSE, WTE, excursions

    frame = files.read_table(trades_file, TRADE_COLUMNS)
    ids = files.read_column(trades_file, frame, "trade_id", files.needed_text)
    files.check_unique(trades_file, ids)
    paths, last_prices = _read_paths(prices_file)
    spans = _read_spans(trades_file, frame)
    instruments = files.read_column(trades_file, frame, "instrument", files.needed_text)
    found: dict[str, dict[str, float]] = {}
    nothing = np.empty(0, np.int64)
    columns = (MAE, MFE, POST_SL, RECOVERY, POST_TARGET, WSE, WTE)
    for row, trade_id in enumerate(ids):
        path = paths.get(instruments[row], _empty_path())
        closes = last_prices.get(instruments[row], nothing.astype(np.float64))
        one = _with_exit(_one(spans, row), path, closes)
        figures = excursions(path, one)[0]
        if not len(path.start_ns):
            figures[:] = np.nan
        found[trade_id] = {
            name: float(figures[column]) * 100.0 for name, column in zip(FIGURES, columns, strict=True)
        }
    return found


def _read_spans(path: Path, frame: "pd.DataFrame") -> "Spans":
    import numpy as np

    from cli import plain_files as files
    from propdesk.core.calendar import ist_date, ist_midnight_ns
    from propdesk.core.clock import NS_PER_MINUTE
    from propdesk.metrics.excursion import Spans

    entry_ns = np.array(files.read_column(path, frame, "entry_at", files.moment_ns), np.int64)
    exit_ns = np.array(files.read_column(path, frame, "exit_at", files.moment_ns), np.int64)
    wrong = np.flatnonzero(exit_ns < entry_ns)
    if len(wrong):
        raise files.bad_cell(path, int(wrong[0]) + 1, "exit_at", "lies before entry_at")
    exits = (
        files.read_column(path, frame, "exit_price", files.optional_price)
        if "exit_price" in frame.columns
        else [float("nan")] * len(frame)
    )
    closes = [ist_midnight_ns(ist_date(int(ns))) + _CLOSE_MINUTE * NS_PER_MINUTE for ns in exit_ns]
    return Spans(
        sign=np.array(files.read_column(path, frame, "side", files.side_sign), np.int64),
        entry=np.array(files.read_column(path, frame, "entry_price", files.price)),
        exit=np.array(exits),
        stop=np.array(files.read_column(path, frame, "stoploss", files.optional_price)),
        target=np.array(files.read_column(path, frame, "target", files.optional_price)),
        exit_kind=np.array(files.read_column(path, frame, "exit_reason", _exit_kind), np.int64),
        entry_ns=entry_ns,
        exit_ns=exit_ns,
        close_ns=np.array(closes, np.int64),
    )


def _exit_kind(text: str) -> int:
    from propdesk.metrics.excursion import EXIT_OTHER, EXIT_STOP, EXIT_TARGET

    if not text:
        raise ValueError("is empty; say how the trade ended, for example STOPLOSS or TARGET_1")
    if text.startswith("TARGET"):
        return EXIT_TARGET
    return EXIT_STOP if text == "STOPLOSS" else EXIT_OTHER


def _one(spans: "Spans", row: int) -> "Spans":
    from propdesk.metrics.excursion import Spans

    pick = slice(row, row + 1)
    return Spans(
        spans.sign[pick],
        spans.entry[pick],
        spans.exit[pick],
        spans.stop[pick],
        spans.target[pick],
        spans.exit_kind[pick],
        spans.entry_ns[pick],
        spans.exit_ns[pick],
        spans.close_ns[pick],
    )


def _with_exit(one: "Spans", path: "PricePath", closes: "np.ndarray") -> "Spans":
    """Fill in the price of the exit where the file does not tell it."""
    from dataclasses import replace

    import numpy as np

    from propdesk.metrics.excursion import EXIT_STOP, EXIT_TARGET

    if not np.isnan(one.exit[0]):
        return one
    level = {EXIT_STOP: one.stop, EXIT_TARGET: one.target}.get(int(one.exit_kind[0]))
    if level is None or np.isnan(level[0]):
        at = int(np.searchsorted(path.end_ns, one.exit_ns[0], side="right")) - 1
        before_entry = at < 0 or path.end_ns[at] < one.entry_ns[0]
        level = one.entry if before_entry else closes[at : at + 1]
    return replace(one, exit=level)


def _empty_path() -> "PricePath":
    import numpy as np

    from propdesk.metrics.excursion import PricePath

    nothing = np.empty(0, np.int64)
    prices = np.empty(0, np.float64)
    return PricePath(nothing, nothing, prices, prices, is_ticks=False)


def _read_paths(path: Path) -> "tuple[dict[str, PricePath], dict[str, np.ndarray]]":
    """Prices by instrument in time order, and the price each bar or tick leaves behind."""
    import numpy as np

    from cli import plain_files as files
    from propdesk.core.clock import NS_PER_MINUTE
    from propdesk.metrics.excursion import PricePath

    frame = files.read_table(path, ("instrument", "ts"))
    is_ticks = "price" in frame.columns
    names = ("price",) if is_ticks else BAR_COLUMNS
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise SchemaFault(f"{path} has no column {missing[0]}; it needs price, or {', '.join(BAR_COLUMNS)}.")
    instruments = np.array(files.read_column(path, frame, "instrument", files.needed_text), object)
    ts = np.array(files.read_column(path, frame, "ts", files.moment_ns), np.int64)
    levels = {name: np.array(files.read_column(path, frame, name, files.price)) for name in names}
    high, low, last = (levels["price"],) * 3 if is_ticks else (levels["high"], levels["low"], levels["close"])
    wrong = np.flatnonzero((low > last) | (high < last))
    if len(wrong):
        raise files.bad_cell(path, int(wrong[0]) + 1, "high", "high and low do not hold the close")
    paths: dict[str, PricePath] = {}
    closes: dict[str, np.ndarray] = {}
    for name in sorted(set(instruments)):
        mine = np.flatnonzero(instruments == name)
        mine = mine[np.argsort(ts[mine], kind="stable")]
        end = ts[mine] if is_ticks else ts[mine] + NS_PER_MINUTE
        paths[str(name)] = PricePath(ts[mine], end, high[mine], low[mine], is_ticks)
        closes[str(name)] = last[mine]
    return paths, closes


def excursions(
    trades: Annotated[Path, typer.Option("--trades", help="CSV or Parquet of ended trades.")],
    prices: Annotated[Path, typer.Option("--prices", help="CSV or Parquet of ticks or one-minute bars.")],
    as_json: JsonOption = False,
) -> None:
    """Measure worst and best moves and what prices did after each exit."""
    found = measure(trades, prices)
    say(f"{len(found)} trades in {trades}")
    show_figures("Excursions, percent", found, FIGURES, as_json=as_json)


def register(group: typer.Typer) -> None:
    """Add the command to ``propdesk analyze``."""
    group.command("excursions")(excursions)
