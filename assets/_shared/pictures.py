"""Small pictures for materialisation metadata: a person would rather look than read."""

import base64
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from dagster import MarkdownMetadataValue, MetadataValue
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from PIL.Image import Image

WIDTH_IN: Final = 4.6
HEIGHT_IN: Final = 1.9
DPI: Final = 100
SERIES_MAX: Final = 6
CHARACTER_IN: Final = 0.056
"""Width that a character of a label takes at its size of 6 points, a wide one in most fonts."""
_MARGIN_IN: Final = 0.12
_TICKS_IN: Final = 0.6
"""Beside the axes: their numbers, and what they count written along them."""
_BELOW_IN: Final = 0.4
_LEAST_IN: Final = 1.2
"""What stays for the axes, however long the labels are."""
_SHADES: Final = (1.0, 0.66, 0.33)
"""How much of a colour is left where it runs into the white around it."""
_PALETTE: Final = ("#4C72B0", "#DD8452", "#55A868", "#C44E52", "#937860", "#8172B3", "#8C8C8C")


def bars(
    labels: Sequence[str], values: Sequence[float], title: str, unit: str = "rows"
) -> MarkdownMetadataValue:
    """Draw one bar per label, e.g. rows per reason.

    Parameters
    ----------
    labels, values : sequence, same length
        May be empty: an empty picture says so.
    title, unit : str
        The unit stands at the axis of the values.

    Returns
    -------
    MarkdownMetadataValue
        The picture as a data address.
    """
    figure, axes = _canvas(title)
    if labels:
        axes.barh(range(len(labels)), values, color=_PALETTE[0])
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.set_xlabel(unit, fontsize=7)
        _count_whole(axes.xaxis)
        _leave_room(figure, left=_width(labels))
    else:
        _say_empty(axes)
    return _finished(figure, title)


def stacked_days(
    days: Sequence[str], parts: Mapping[str, Sequence[float]], title: str, unit: str = "rows"
) -> MarkdownMetadataValue:
    """Draw stacked counts per day; of a single day, one bar per part.

    Parameters
    ----------
    days : sequence of str
        ISO dates, rising.
    parts : mapping of str to sequence
        One series per name, as long as ``days``. The largest lies at the bottom; from the seventh on they are
        drawn together as "other".
    title, unit : str
        The unit stands at the axis of the counts.

    Returns
    -------
    MarkdownMetadataValue
        The picture as a data address.
    """
    if len(days) == 1 and parts:
        shares = _largest(parts)
        return bars(list(shares), [float(v[0]) for v in shares.values()], f"{title}, {days[0]}", unit)
    figure, axes = _canvas(title)
    if days and parts:
        bottom, edges = np.zeros(len(days)), np.arange(len(days) + 1) - 0.5
        for number, (name, heights) in enumerate(_largest(parts).items()):
            colour = _PALETTE[number % len(_PALETTE)]
            top = bottom + heights
            # one shape for a series: a thousand bars take a second to draw
            axes.stairs(top, edges, baseline=bottom, fill=True, color=colour, label=name)
            bottom = top
        shown = sorted({0, len(days) // 2, len(days) - 1})
        axes.set_xticks(shown, [days[i] for i in shown])
        axes.set_ylabel(unit, fontsize=7)
        _count_whole(axes.yaxis)
        if len(parts) > 1:
            axes.legend(fontsize=6, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        _leave_room(figure, left=_TICKS_IN, legend=parts if len(parts) > 1 else ())
    else:
        _say_empty(axes)
    return _finished(figure, title)


def _largest(parts: Mapping[str, Sequence[float]]) -> dict[str, NDArray[np.float64]]:
    """Order series by their sums, the largest first, and add up what is left after `SERIES_MAX`."""
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in parts.items()}
    names = sorted(arrays, key=lambda name: (-float(arrays[name].sum()), name))
    kept = {name: arrays[name] for name in names[:SERIES_MAX]}
    if rest := names[SERIES_MAX:]:
        kept["other"] = np.sum([arrays[name] for name in rest], axis=0)
    return kept


def histogram(values: Sequence[float], title: str, unit: str, counted: str = "rows") -> MarkdownMetadataValue:
    """Draw how values are spread; the outer 1 % on both sides are left out, undefined ones too.

    Parameters
    ----------
    values : sequence of float
        NaN = undefined.
    title, unit, counted : str
        What the values are measured in, and what each of them belongs to, e.g. ``ideas``.

    Returns
    -------
    MarkdownMetadataValue
        The picture as a data address.
    """
    figure, axes = _canvas(title)
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if known.size:
        low, high = np.quantile(known, [0.01, 0.99])
        heights, edges = np.histogram(known[(known >= low) & (known <= high)], bins=40)
        axes.stairs(heights, edges, fill=True, color=_PALETTE[0])
        axes.set_xlabel(unit, fontsize=7)
        axes.set_ylabel(counted, fontsize=7)
        _count_whole(axes.yaxis)
        _leave_room(figure, left=_TICKS_IN)
    else:
        _say_empty(axes)
    return _finished(figure, title)


def curves(lines: Mapping[str, Sequence[float]], title: str, unit: str, along: str) -> MarkdownMetadataValue:
    """Draw one line per name over its own positions, e.g. equity curves of the best advisors.

    Parameters
    ----------
    lines : mapping of str to sequence of float
    title, unit, along : str
        What the values are measured in, and what their positions count, e.g. ``market days``.

    Returns
    -------
    MarkdownMetadataValue
        The picture as a data address.
    """
    figure, axes = _canvas(title)
    for number, (name, values) in enumerate(lines.items()):
        axes.plot(values, label=name, linewidth=1.0, color=_PALETTE[number % len(_PALETTE)])
    if lines:
        axes.legend(fontsize=6, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        axes.set_ylabel(unit, fontsize=7)
        axes.set_xlabel(along, fontsize=7)
        _leave_room(figure, left=_TICKS_IN, legend=lines)
    else:
        _say_empty(axes)
    return _finished(figure, title)


def _canvas(title: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure  # a second to import: only who draws pays

    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), dpi=DPI)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=8)
    axes.tick_params(labelsize=6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _width(labels: Iterable[str]) -> float:
    """Give the inches that the longest label needs beside the axes."""
    return max(map(len, labels), default=0) * CHARACTER_IN + _MARGIN_IN


def _leave_room(figure: "Figure", left: float, legend: Collection[str] = ()) -> None:
    """Set the axes' borders by what stands beside them, in inches.

    Matplotlib's own layouts lay every text out three times for it: more than all the drawing.
    """
    right = _width(legend) + 3 * _MARGIN_IN if legend else 2 * _MARGIN_IN  # strokes stand before a legend
    scale = min(1.0, (WIDTH_IN - _LEAST_IN) / (left + right))
    figure.subplots_adjust(
        left=left * scale / WIDTH_IN,
        right=1 - right * scale / WIDTH_IN,
        bottom=_BELOW_IN / HEIGHT_IN,
        top=1 - 2 * _MARGIN_IN / HEIGHT_IN,
    )


def _count_whole(axis: "Axis") -> None:
    """Mark whole numbers only, with separated thousands."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axis.set_major_formatter("{x:,.0f}")


def _say_empty(axes: "Axes") -> None:
    axes.text(0.5, 0.5, "nothing on these days", ha="center", va="center", fontsize=8)
    axes.set_axis_off()


@cache
def _reduced_palette() -> "Image":
    """Give the colours that a picture may have: the series' own, black, and their shades.

    The picture is repeated with every day of a run, so it must be a few kilobytes. Colours chosen from the
    picture itself would make thin lines of different series alike.
    """
    from PIL import Image, ImageColor

    bases = [ImageColor.getrgb(name)[:3] for name in (*_PALETTE, "#000000")]
    shades = [round(255 + (part - 255) * share) for base in bases for share in _SHADES for part in base]
    holder = Image.new("P", (1, 1))
    holder.putpalette([255, 255, 255, *shades])
    return holder


def _finished(figure: "Figure", title: str) -> MarkdownMetadataValue:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(figure)  # matplotlib annotates it not
    canvas.draw()  # `savefig` would draw twice, pack and unpack
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    reduced = drawn.quantize(palette=_reduced_palette(), dither=Image.Dither.NONE)
    small = io.BytesIO()
    reduced.save(small, format="png", optimize=True)
    return MetadataValue.md(
        f"![{title}](data:image/png;base64,{base64.b64encode(small.getvalue()).decode()})"
    )
