"""Pages of pictures and tables in one HTML file that needs nothing else, not even a network."""

import html
import json
import math
from collections.abc import Mapping
from typing import Any, Final


def write_page(title: str, body: list[str], figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Write a page.

    Parameters
    ----------
    title : str
        Plain text.
    body : list of str
        HTML; `place` makes room for a picture.
    figures : mapping of str to mapping
        ``data`` and ``layout`` of plotly by the name of their place; undefined numbers become gaps.

    Returns
    -------
    str
        A whole HTML document with the plotting library in it (about five megabytes).
    """
    from plotly.offline import get_plotlyjs  # a second to import: only who writes a page pays

    script = json.dumps(_finite(dict(figures)), allow_nan=False).replace("</", "<\\/")
    return _PAGE.format(
        title=escaped(title), style=_STYLE, body="\n".join(body), plotly=get_plotlyjs(), data=script
    )


def plot_layout(**more: object) -> dict[str, Any]:
    """Give a picture's layout; ``xaxis`` and ``yaxis`` are added to the usual axes, the rest replaces."""
    axis = {"gridcolor": "#e6e6e6", "zerolinecolor": "#bdbdbd", "automargin": True}
    return {
        "margin": {"l": 60, "r": 20, "t": 10, "b": 40},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#222222"},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "hovermode": "x unified",
        **more,
        "xaxis": {**axis, **_dict(more.get("xaxis"))},
        "yaxis": {**axis, **_dict(more.get("yaxis"))},
    }


def place(name: str, heading: str, note: str) -> str:
    """Make room for a picture under a heading and a note."""
    return f"<h2>{escaped(heading)}</h2><p class=note>{escaped(note)}</p><div class=plot id={name}></div>"


def facts(found: Mapping[str, str]) -> str:
    """List names and values."""
    rows = "".join(f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in found.items())
    return f"<dl>{rows}</dl>"


def escaped(value: object) -> str:
    """Escape a text."""
    return html.escape(str(value))


def _dict(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _finite(value: Any) -> Any:
    """Leave gaps where numbers are undefined: JSON knows no NaN."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


_STYLE: Final = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 1100px; margin: 0 auto;
  padding: 24px; }
h1 { font-size: 26px; margin: 0 0 8px; } h2 { font-size: 19px; margin: 32px 0 4px; }
h3 { font-size: 16px; margin: 20px 0 4px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0 0 16px; color: #444; }
dt { color: #777; } dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } .note { color: #666; font-size: 13px; margin: 0 0 6px; }
.plot { width: 100%; min-height: 360px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; min-width: 60%; }
th, td { padding: 4px 12px; border-bottom: 1px solid #e6e6e6; text-align: right; white-space: nowrap; }
th:first-child { text-align: left; font-weight: 500; } tr:first-child th { color: #555; font-weight: 600; }
.rules th:first-child { font-family: ui-monospace, monospace; font-size: 12px; }
@media print { .plot { break-inside: avoid; } }
"""
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
<script>{plotly}</script>
</head>
<body>
{body}
<script type="application/json" id="figures">{data}</script>
<script>
const figures = JSON.parse(document.getElementById("figures").textContent);
for (const [name, figure] of Object.entries(figures)) {{
  Plotly.newPlot(name, figure.data, figure.layout, {{responsive: true, displaylogo: false}});
}}
document.body.dataset.drawn = "yes";
</script>
</body>
</html>
"""
