"""What pages are made of: figures that explain themselves, tables, charts that can be read as tables."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nicegui import ui

from propdesk.core.money import PAISE_PER_RUPEE
from web.ui import downloads, formats
from web.ui.words import define

GAIN: Final = "#2f86c9"
LOSS: Final = "#d9690a"
"""Blue and vermilion: told apart by every kind of colour blindness; signs say the same."""
SERIES: Final = (GAIN, LOSS, "#0f9d7a", "#b5651d")
"""Seen on white and on black; lines differ in their dashes too."""
AMOUNTS: Final = {"axisLabel": {":formatter": "propdesk.amount"}}
"""An axis in rupees, by lakh and crore."""
_GREY: Final = "#8a8f98"
_TABLE_ROWS_MAX: Final = 500


def heading(text: str, hint: str = "") -> None:
    """Begin a part of a page."""
    with ui.element("h2"):
        ui.label(text)
    if hint:
        ui.label(hint).classes("hint")


def empty(sentence: str) -> None:
    """Say that there is nothing, and why or what to do."""
    ui.label(sentence).classes("box empty")


def figure(word: str, shown: str, *, n: str = "", tone: str = "", label: str = "") -> None:
    """Show one number with its definition.

    Parameters
    ----------
    word : str
        Its name in `web.ui.words`.
    shown : str
    n : str
        What it counts over, e.g. ``214 legs``.
    tone : {"", "gain", "loss", "bad", "good"}
    label : str
        What stands above it; the word's own title by default.
    """
    meaning = define(word)
    tip = f"{meaning.text} (n = {n})" if n else meaning.text
    with ui.element("div").classes(f"figure {tone}").props('tabindex="0"') as box:
        ui.label(label or meaning.title).classes("figure-label")
        ui.label(shown).classes("figure-value")
        if n:
            ui.label(n).classes("figure-n")
        ui.tooltip(tip)
    box.props["aria-label"] = f"{label or meaning.title}: {shown}. {tip}"


def tone_of(paise: int | None) -> str:
    """Give the tone of a result."""
    return "" if not paise else "gain" if paise > 0 else "loss"


def facts(known: Mapping[str, Any]) -> None:
    """Show names and values, those without a value left out."""
    with ui.element("dl").classes("facts"):
        for name, value in known.items():
            if value in (None, "", [], {}):
                continue
            with ui.element("dt"):
                ui.label(str(name))
            with ui.element("dd"):
                ui.label(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a plain table.

    Parameters
    ----------
    word : str
        Its name in `web.ui.words`.
    title : str
        What stands in its header; the word's own title by default.
    is_number : bool
        Stands to the right.
    is_text : bool
        Sentences, over several lines.
    """

    word: str
    title: str = ""
    is_number: bool = False
    is_text: bool = False

    @property
    def style(self) -> str:
        """Class of its cells."""
        return "number" if self.is_number else "text" if self.is_text else ""


def table(columns: Sequence[Column], rows: Iterable[Sequence[Any]], caption: str) -> None:
    """Show a small table; a cell is text, or a pair of text and address.

    Parameters
    ----------
    columns : sequence of Column
    rows : iterable
        Cells as they are shown.
    caption : str
        Names the table for those who hear it.
    """
    with ui.element("div").classes("wide").props('tabindex="0" role="region"') as frame:
        frame.props["aria-label"] = caption
        with ui.element("table").classes("plain"):
            with ui.element("thead"), ui.element("tr"):
                for column in columns:
                    meaning = define(column.word)
                    with ui.element("th").classes(column.style).props('scope="col"'):
                        ui.label(column.title or meaning.title)
                        ui.tooltip(meaning.text)
            with ui.element("tbody"):
                for row in rows:
                    with ui.element("tr"):
                        for column, cell in zip(columns, row, strict=True):
                            with ui.element("td").classes(column.style):
                                _cell(cell)


def _cell(cell: Any) -> None:
    if isinstance(cell, tuple):
        text, address = cell
        ui.link(str(text), address)
    else:
        ui.label(str(cell))


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture and the numbers it is drawn from.

    Parameters
    ----------
    title : str
    note : str
        What is seen, over how many.
    columns : sequence of str
        Of the numbers behind it.
    rows : sequence of sequence
    options : mapping
        Of ECharts, on top of what all have in common.
    """

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    options: Mapping[str, Any] = field(default_factory=dict)


def chart(drawn: Chart) -> None:
    """Show a chart, with its numbers as a table and as a file."""
    heading(drawn.title, drawn.note)
    if not drawn.rows:
        empty("There is nothing to draw yet.")
        return
    tools = ui.element("div").classes("chart-tools")
    picture = ui.echart(_merged(_COMMON, drawn.options)).classes("chart")
    picture.props["role"] = "img"
    picture.props["aria-label"] = f"{drawn.title}. {drawn.note} The numbers stand under “As table”."
    as_table = ui.element("div")

    def turn() -> None:
        # Made when it is asked for: a long curve has thousands of cells.
        if as_table.default_slot.children:
            as_table.clear()
            return
        with as_table:
            _as_table(drawn)

    with tools:
        ui.button("As table", on_click=turn).props("flat dense no-caps")
        with ui.button("CSV", on_click=lambda: _download(drawn)).props("flat dense no-caps"):
            ui.tooltip("The numbers of this chart as a file")


def _as_table(drawn: Chart) -> None:
    columns = [Column(name, is_number=index > 0) for index, name in enumerate(drawn.columns)]
    shown = [
        [_written(name, cell) for name, cell in zip(drawn.columns, row, strict=True)]
        for row in drawn.rows[-_TABLE_ROWS_MAX:]
    ]
    table(columns, shown, drawn.title)
    if len(drawn.rows) > _TABLE_ROWS_MAX:
        total = formats.count(len(drawn.rows))
        ui.label(f"The last {_TABLE_ROWS_MAX} of {total} rows; the file has all.")


def _download(drawn: Chart) -> None:
    name = "".join(c if c.isalnum() else "-" for c in drawn.title.lower())
    ui.download.content(downloads.table(drawn.columns, drawn.rows), f"{name}.csv", "text/csv")


def _written(column: str, cell: Any) -> str:
    if cell is None:
        return formats.ABSENT
    if column.endswith("₹"):
        return formats.inr(round(cell * PAISE_PER_RUPEE))
    if isinstance(cell, int):
        return formats.count(cell)
    return formats.number(cell, 4) if isinstance(cell, float) else str(cell)


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**base, **own}
    for key in base.keys() & own.keys():
        if isinstance(base[key], Mapping) and isinstance(own[key], Mapping):
            merged[key] = _merged(base[key], own[key])
    return merged


_AXIS: Final = {
    "axisLine": {"lineStyle": {"color": _GREY}},
    "axisLabel": {"color": _GREY},
    "splitLine": {"lineStyle": {"color": _GREY, "opacity": 0.25}},
}
_COMMON: Final[Mapping[str, Any]] = {
    "animation": False,
    "textStyle": {"color": _GREY},
    "color": SERIES,
    "grid": {"left": 8, "right": 24, "top": 36, "bottom": 8, "containLabel": True},
    "legend": {"textStyle": {"color": _GREY}, "top": 0},
    # Drawn on the canvas: no name of an advisor or instrument ever becomes HTML.
    "tooltip": {"trigger": "axis", "renderMode": "richText", "confine": True},
    "xAxis": {"type": "category", **_AXIS},
    "yAxis": {"type": "value", "scale": True, **_AXIS},
}
