"""The page of the ground truth report: plots and the figures under them (§8.3)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from adapters.plot_page import escaped, facts, place, plot_layout, write_page
from propdesk.model.enums import GateProfile
from propdesk.sim.truth_summary import Estimate, PowerRow, TruthSummary

_COLOURS: Final = {GateProfile.DESK: "#0b6e4f", GateProfile.ORIGINAL: "#2a6f97"}
_PERCENT: Final = 100.0
_DASH: Final = "–"
_HOLDS: Final = {True: "yes", False: "NO", None: "not judged"}
_PICTURES: Final = {
    "power": (
        "Ideas taken by skill",
        "Of the ladder, once the window of the replays is full; bars are 95 % intervals over seeds.",
    ),
    "detect": ("Days to detect", "Median market days until some rule of an advisor could trade."),
    "calibration": (
        "Is prob_edge true?",
        "Mini rules of advisors of constant skill: share whose true net R exceeds the hurdle.",
    ),
    "nulls": ("Rules where there is nothing to find", "By as-of date; no skill anywhere, and the placebo."),
    "spearman": ("Planted points against post_mean_r", "Rank correlation at the end, by seed."),
}
_NOTES: Final = (
    "Skill is planted by letting an advisor look ahead with a stated probability. What is true about him is "
    "measured on ideas drawn anew: net R as the research resolved his ideas, less the luck of those he "
    "posted. Rules of an as-of date judge ideas of later days only. The placebo lets chance say, within day, "
    "category and reward to risk, which advisor had which idea of the world without skill. Lucky advisors "
    "are made by keeping the luckiest of twelve draws each fortnight. The oracle takes every idea of the "
    "advisors that truly earn. Intervals take whole markets as observations."
)


def render(summary: TruthSummary, asked: Mapping[str, str]) -> str:
    """Write the page.

    Parameters
    ----------
    summary : TruthSummary
    asked : mapping of str to str
        What was judged, by its name.

    Returns
    -------
    str
        A whole HTML document.
    """
    title = f"Ground truth over {summary.seeds} seeds"
    body = [
        f"<h1>{title}</h1>",
        facts(asked),
        "<h2>Accepted?</h2>",
        _table(
            ("condition, profile desk", "value", "holds"),
            [(one.text, _number(one.value), _HOLDS[one.holds]) for one in summary.acceptance],
        ),
        *(place(name, *words) for name, words in _PICTURES.items()),
        *(part for profile in GateProfile for part in _profile(summary, profile)),
        f"<p class=note>{_NOTES}</p>",
    ]
    return write_page(title, body, _figures(summary))


def _figures(summary: TruthSummary) -> dict[str, dict[str, Any]]:
    ladders = {profile: found.ladder for profile, found in summary.profiles.items()}
    percent = {"title": {"text": "%"}, "range": [0, 102]}
    return {
        "power": _picture(
            [_points(p, [r.name for r in rows], [r.taken for r in rows]) for p, rows in ladders.items()],
            xaxis=_POINTS,
            yaxis=percent,
        ),
        "detect": _picture(
            [
                _bars(p.value, p, [r.name for r in rows], [r.days_to_detect for r in rows])
                for p, rows in ladders.items()
            ],
            xaxis=_POINTS,
            yaxis={"title": {"text": "market days"}},
            barmode="group",
        ),
        "calibration": _calibration(summary),
        "nulls": _picture(
            [
                _bars(
                    profile.value,
                    profile,
                    [one.world.value for one in summary.nulls if one.profile is profile],
                    [one.rules.value for one in summary.nulls if one.profile is profile],
                )
                for profile in GateProfile
            ],
            yaxis={"title": {"text": "rules"}},
            barmode="group",
        ),
        "spearman": _picture(
            [
                _bars(
                    "Spearman", GateProfile.DESK, [str(n + 1) for n in range(summary.seeds)], summary.spearman
                )
            ],
            xaxis={"title": {"text": "seed, in order"}, "type": "category"},
        ),
    }


_POINTS: Final = {"title": {"text": "points of hit probability"}, "type": "category"}


def _picture(traces: list[dict[str, Any]], **more: object) -> dict[str, Any]:
    return {"data": traces, "layout": plot_layout(**more)}


def _points(profile: GateProfile, x: list[str], shares: Sequence[Estimate]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": profile.value,
        "x": x,
        "y": [_PERCENT * share.value for share in shares],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [_PERCENT * (share.high - share.value) for share in shares],
            "arrayminus": [_PERCENT * (share.value - share.low) for share in shares],
        },
        "line": {"color": _COLOURS[profile], "width": 2},
    }


def _bars(name: str, profile: GateProfile, x: list[str], y: Iterable[float]) -> dict[str, Any]:
    return {"type": "bar", "name": name, "x": x, "y": list(y), "marker": {"color": _COLOURS[profile]}}


def _calibration(summary: TruthSummary) -> dict[str, Any]:
    rows = [row for row in summary.calibration if row.rules]
    middle = [(row.low + row.high) / 2.0 for row in rows]
    line = {"dash": "dot", "color": "#8d8d8d"}
    return _picture(
        [
            _points(GateProfile.DESK, [], [row.true_share for row in rows])
            | {"x": middle, "name": "truly above the hurdle", "text": [f"{row.rules} rules" for row in rows]},
            {"type": "scatter", "mode": "lines", "name": "as said", "x": [0, 1], "y": [0, 100], "line": line},
        ],
        xaxis={"title": {"text": "prob_edge"}, "range": [0, 1]},
        yaxis={"title": {"text": "%"}},
    )


def _profile(summary: TruthSummary, profile: GateProfile) -> list[str]:
    found = summary.profiles[profile]
    names = (
        "advisors", "points", "number", "ideas", "taken %", "R of all", "R of taken", "found %", "days",
    )  # fmt: skip
    reversed_ideas = ", ".join(f"{kind} {count}" for kind, count in found.reversed_ideas) or "none"
    return [
        f"<h2>Profile {escaped(profile.value)}</h2>",
        facts(
            {
                "ideas taken of advisors without skill": f"{_span(found.unskilled_taken)} %",
                "rules whose advisor truly does not earn": f"{_span(found.false_rules)} %",
                "net R of an idea taken": _number(found.taken_r),
                "oracle, regret": f"{_number(found.oracle_r)}, {_number(found.regret_r)} R per 100 ideas",
                "of the oracle's R earned": f"{_span(found.captured)} %",
                "rules, reverse rules by as-of date": f"{_number(found.eligible)}, {_number(found.adverse)}",
                "ideas reversed": reversed_ideas,
            }
        ),
        _table(names, [_cells(row) for row in (*found.ladder, *found.kinds)]),
    ]


def _cells(row: PowerRow) -> tuple[str, ...]:
    return (
        row.name,
        f"{_PERCENT * row.points:+.1f}",
        str(row.advisors),
        f"{row.ideas:,}",
        _span(row.taken),
        _number(row.ideas_r),
        _number(row.taken_r),
        _number(_PERCENT * row.found_share, 0),
        _number(row.days_to_detect, 0),
    )


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escaped(name)}</th>" for name in names)
    lines = "".join(
        f"<tr><th>{escaped(first)}</th>{''.join(f'<td>{escaped(cell)}</td>' for cell in rest)}</tr>"
        for first, *rest in rows
    )
    return f"<div class=wide><table><tr>{head}</tr>{lines}</table></div>"


def _span(share: Estimate) -> str:
    """Give a share in percent with its interval."""
    value, low, high = (_number(_PERCENT * number, 1) for number in (share.value, share.low, share.high))
    return value if low == _DASH else f"{value} ({low} to {high})"


def _number(value: float, digits: int = 3) -> str:
    return _DASH if math.isnan(value) else f"{value:.{digits}f}"
