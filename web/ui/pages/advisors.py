"""Advisors: the leaderboard, and one advisor with curve, excursions, habits, rules and honesty."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, Final

from nicegui import ui

from adapters.db.repos.cells import CellTrade, read_cell_trades
from adapters.db.repos.pages import make_query, read_page
from adapters.db.repos.rules import newest_as_of
from propdesk.core.errors import GapFault
from propdesk.core.money import PAISE_PER_RUPEE
from propdesk.model.command import CommandKind
from propdesk.model.enums import Regime, Session, Weekday
from propdesk.model.user import UserRole
from propdesk.sim.results import drawdown_curve
from web.ui import formats
from web.ui.curves import differs, line
from web.ui.frame import PageSpec
from web.ui.grid import ADVISOR_LINK, RULE_LINK, SIGNAL_LINK, GridSpec, grid, local_grid
from web.ui.pages.commands import command_address
from web.ui.panel import Panel
from web.ui.visit import Connection, Row, Visit
from web.ui.widgets import AMOUNTS, GAIN, LOSS, Chart, chart, empty, figure, heading, tone_of

_SPARK_POINTS: Final = 40
_BOARD_MAX: Final = 1_000
_BOARD: Final = (
    *("rank", "advisor_id", "n", "n_days", "sharpe", "mdd_pct", "weighted_win_rate_pct", "trust_flag"),
    *("post_mean_r", "prob_edge", "excess_z", "corpus_return_pct", "net_pnl_paise", "profit_factor"),
)
_PERCENT: Final = 100
_HEATS: Final[tuple[tuple[str, str, Sequence[str]], ...]] = (
    ("Regime and session", "regime", list(Regime)),
    ("Weekday and session", "weekday", list(Weekday)),
)
_HEAT_LABEL: Final = {"show": True, "color": "#111", "fontSize": 11, "lineHeight": 14}


def _read(visit: Visit, connection: Connection, name: str, *filters: str, limit: int = 1) -> list[Row]:
    query = make_query(visit.house.listings[name], filters=filters, limit=limit)
    return read_page(connection, query, visit.house.parts.account_id).rows


async def build_board(visit: Visit) -> None:
    """Draw the leaderboard."""

    def read(connection: Connection) -> list[Row]:
        rows = _read(visit, connection, "advisors", limit=_BOARD_MAX)
        if not rows:
            raise GapFault("there are no advisors yet: ingest a file, then `propdesk backfill FROM TO`")
        day = rows[0]["as_of_date"]
        curves = _read(visit, connection, "equity-curves", f"as_of_date={day}", limit=_BOARD_MAX)
        sparks = {curve["rule_text"]: thinned(curve["daily_marked_paise"], _SPARK_POINTS) for curve in curves}
        return [{**row, "curve": sparks.get(row["rule_text"], [])} for row in rows]

    def draw(rows: list[Row]) -> None:
        first = "The first " if len(rows) == _BOARD_MAX else ""
        ui.label(
            f"{first}{formats.count(len(rows))} advisors as of {formats.day(rows[0]['as_of_date'])}, "
            "by estimated edge after shrinkage. The curve is the corpus replay of the window "
            "by day, open trades at their last price."
        ).classes("hint")
        spec = GridSpec("advisors", _BOARD, {"advisor_id": ADVISOR_LINK})
        local_grid(visit, spec, rows, curve="curve")

    Panel(visit, lambda: visit.read(read), draw)


def thinned(values: Sequence[int], points: int) -> list[int]:
    """Keep so many values, the first and the last among them.

    Examples
    --------
    >>> thinned([1, 2, 3, 4, 5], 3), thinned([7], 3), thinned([], 3)
    ([1, 3, 5], [7], [])
    """
    if len(values) <= points:
        return list(values)
    step = (len(values) - 1) / (points - 1)
    return [values[round(index * step)] for index in range(points)]


async def build_advisor(visit: Visit) -> None:
    """Draw one advisor."""
    advisor_id = visit.path["advisor_id"][:100].replace("\x00", "")
    ui.label(advisor_id).classes("name")
    if visit.may(UserRole.TRADER):
        ui.link("Pause …", command_address(CommandKind.PAUSE, scope=f"ADVISOR:{advisor_id}"))

    def read(connection: Connection) -> tuple[Row, Row | None, list[CellTrade]]:
        as_of = newest_as_of(connection)
        rows = _read(visit, connection, "advisors", f"advisor_id={advisor_id}", f"as_of_date={as_of}")
        if not rows:
            raise GapFault(f"no advisor {advisor_id!r} was judged on {as_of}")
        filters = (f"as_of_date={as_of}", f"rule_text={rows[0]['rule_text']}")
        curves = _read(visit, connection, "equity-curves", *filters)
        trades = read_cell_trades(connection, {"advisor_id": advisor_id}, as_of, visit.house.settings)
        return rows[0], curves[0] if curves else None, trades

    Panel(visit, lambda: visit.read(read), _draw_advisor)
    heading("Rules", "Every cell of this advisor on the newest day.")
    mine, links = (f"advisor_id={advisor_id}",), {"rule_text": RULE_LINK, "trade_id": SIGNAL_LINK}
    shown: tuple[str, ...] = ("rule_text", "n", "win_rate_pct", "post_mean_r", "prob_edge")
    shown = (*shown, "desk_passes", "desk_failed_gates")
    grid(visit, GridSpec("rules", shown, links, mine, sort="-post_mean_r", is_small=True))
    heading("Ideas as the market shows them", "Every idea of this advisor with its verified outcome.")
    columns = ("trade_id", "trade_date", "instrument_key", "side", "entry_at", "exit_at", "exit_reason")
    shown = (*columns, "r_multiple", "net_pnl_paise")
    grid(visit, GridSpec("trades", shown, links, mine, sort="-trade_date", is_small=True))


def _draw_advisor(found: tuple[Row, Row | None, list[CellTrade]]) -> None:
    row, curve, trades = found
    n = f"{formats.count(row['n'])} trades, {formats.count(row['n_days'])} days"
    claimed = [trade.agrees for trade in trades if trade.agrees is not None]
    net = row["net_pnl_paise"]
    with ui.element("div").classes("figures"):
        figure("rank", formats.count(row["rank"]), n=formats.day(row["as_of_date"]))
        figure("sharpe", formats.number(row["sharpe"]), n=f"± {formats.number(row['sharpe_se'])}")
        figure("mdd_pct", formats.percent(row["mdd_pct"]), n=n)
        figure("marked_mdd_pct", formats.percent(row["marked_mdd_pct"]), n=n)
        figure("weighted_win_rate_pct", formats.percent(row["weighted_win_rate_pct"]), n=n)
        figure("post_mean_r", f"{formats.number(row['post_mean_r'], 3)} R", n=f"{row['skill_n']} trades")
        figure("prob_edge", formats.number(row["prob_edge"], 3), n=f"{row['skill_n']} trades")
        figure("trust_flag", row["trust_flag"] or formats.ABSENT, n="noise" if row["trust_is_noise"] else n)
        figure("net_pnl_paise", formats.signed(net), n=n, tone=tone_of(net))
        honest = _PERCENT * sum(claimed) / len(claimed) if claimed else None
        figure("honesty", formats.percent(honest), n=f"{formats.count(len(claimed))} claims")
    if curve is not None:
        _draw_curve(curve, row["n_open"])
    if sentence := differs(trades, row["n"]):
        ui.label(sentence).classes("box stale")
    _draw_excursions(trades)
    _draw_habits(trades)


def _draw_curve(curve: Row, n_open: int | None) -> None:
    kinds = ("realised", "with open trades")
    days = list(range(1, len(curve["daily_corpus_paise"]) + 1))
    paise = [curve["daily_corpus_paise"], curve["daily_marked_paise"]]
    note = (
        f"Corpus replay at the end of each of the window's {formats.count(len(days))} market days: what "
        f"exits booked, and that with open trades at their last price; {formats.count(n_open)} open then."
    )
    _draw_daily("Corpus", note, days, [[value / PAISE_PER_RUPEE for value in values] for values in paise],
                [f"{kind} ₹" for kind in kinds], {"yAxis": AMOUNTS})  # fmt: skip
    under = [
        [round(float(r) * _PERCENT, 4) for r in drawdown_curve(values)] if values else [] for values in paise
    ]
    note = (
        "At the end of each day against the running peak, percent; between exits of a day it can be deeper."
    )
    _draw_daily("Drawdown", note, days, under, [f"{kind} %" for kind in kinds], {})


def _draw_daily(
    title: str, note: str, days: list[int], values: list[list[float]], names: list[str], more: dict[str, Any]
) -> None:
    series = [
        line(name, data, colour, lineStyle={"type": dash})
        for name, data, colour, dash in zip(names, values, (GAIN, LOSS), ("solid", "dashed"), strict=True)
    ]
    options = {"xAxis": {"data": days}, "series": series, **more}
    chart(Chart(title, note, ("market day", *names), list(zip(days, *values, strict=True)), options))


def _draw_excursions(trades: Sequence[CellTrade]) -> None:
    points = [t for t in trades if t.mae_r is not None and t.mfe_r is not None]
    groups = [("won", GAIN, "circle", True), ("lost", LOSS, "triangle", False)]
    series = [
        {
            "type": "scatter",
            "name": name,
            "symbol": symbol,
            "symbolSize": 7,
            "itemStyle": {"color": colour, "opacity": 0.6},
            "data": [(t.mae_r, t.mfe_r) for t in points if (t.net_pnl_paise > 0) is won],
        }
        for name, colour, symbol, won in groups
    ]
    axis = {"type": "value", "nameLocation": "middle", "nameGap": 28}
    options = {
        "xAxis": {**axis, "name": "MAE, R"},
        "yAxis": {**axis, "name": "MFE, R"},
        "grid": {"bottom": 24, "left": 24},
        "tooltip": {"trigger": "item"},
        "series": series,
    }
    rows = [(t.trade_id, t.mae_r, t.mfe_r, t.net_pnl_paise / PAISE_PER_RUPEE) for t in points]
    note = f"Worst against best move while open, in R; {formats.count(len(points))} closed trades."
    chart(Chart("Excursions", note, ("trade", "MAE R", "MFE R", "net ₹"), rows, options))


def _draw_habits(trades: Sequence[CellTrade]) -> None:
    for title, down, downs in _HEATS:
        cells: dict[tuple[str, str], list[float]] = defaultdict(list)
        for trade in trades:
            if trade.r_multiple is not None:
                cells[getattr(trade, down) or "", trade.session].append(trade.r_multiple)
        _draw_heat(title, downs, list(Session), cells)


def _draw_heat(
    title: str, downs: Iterable[str], acrosses: Iterable[str], cells: dict[tuple[str, str], list[float]]
) -> None:
    rows = [
        (down, across, fmean(values), len(values))
        for down in downs
        for across in acrosses
        if (values := cells.get((down, across)))
    ]
    if not rows:
        heading(title)
        empty("No closed trade with a stop, so no R.")
        return
    seen = {across for _, across, *_ in rows}
    data: list[dict[str, Any]] = [
        {
            "value": (across, down, round(mean, 3)),
            "label": {**_HEAT_LABEL, "formatter": f"{mean:+.2f} R\nn = {n}"},
        }
        for down, across, mean, n in rows
    ]
    top = max(abs(mean) for _, _, mean, _ in rows)
    options = {
        "xAxis": {"data": [str(word) for word in acrosses if word in seen]},
        "yAxis": {"type": "category", "data": [str(word) for word in downs], "inverse": True},
        "legend": {"show": False},
        "grid": {"top": 10},
        "tooltip": {"trigger": "item"},
        "visualMap": {
            "show": False,
            "min": -top,
            "max": top,
            "inRange": {"color": [LOSS, "#d9dde3", GAIN]},
        },
        "series": [{"type": "heatmap", "name": "mean R", "data": data, "label": _HEAT_LABEL}],
    }
    total = formats.count(sum(n for *_, n in rows))
    columns = ("row", "column", "mean R", "trades")
    chart(Chart(title, f"Mean net R; {total} closed trades with a stop.", columns, rows, options))


PAGES: Final = (
    PageSpec("/advisors", "Advisors", build_board, menu="Advisors"),
    PageSpec("/advisors/{advisor_id:path}", "Advisor", build_advisor),
)
