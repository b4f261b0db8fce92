import base64
import io
from collections.abc import Callable

import pytest
from dagster import MarkdownMetadataValue
from PIL import Image, ImageColor

from assets._shared import pictures

LIMIT_BYTES = 8_000
"""It is repeated with every day of a run."""


def image_of(markdown: str) -> Image.Image:
    head, _, code = markdown.partition("base64,")
    assert head.startswith("![")
    return Image.open(io.BytesIO(base64.b64decode(code.removesuffix(")"))))


DRAWN = {
    "bars": lambda: pictures.bars(["a", "b"], [3, 1], "Title"),
    "no bars": lambda: pictures.bars([], [], "Title"),
    "days": lambda: pictures.stacked_days(
        [f"2025-01-{n:02d}" for n in range(1, 29)], {"a": range(28), "b": range(28)}, "Title"
    ),
    "no days": lambda: pictures.stacked_days([], {}, "Title"),
    "spread": lambda: pictures.histogram([1.0, 2.0, float("nan"), 3.0], "Title", "R"),
    "nothing defined": lambda: pictures.histogram([float("nan")], "Title", "R"),
    "one day": lambda: pictures.stacked_days(["2025-01-01"], {"a": [5], "b": [2]}, "Title"),
    "curves": lambda: pictures.curves({"a": [1, 2, 3], "b": [3, 2, 1]}, "Title", "INR", "market days"),
    "no curves": lambda: pictures.curves({}, "Title", "INR", "market days"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_small_and_readable(name: str) -> None:
    markdown = DRAWN[name]().md_str
    assert len(markdown) < LIMIT_BYTES
    image = image_of(markdown)
    assert image.size == (460, 190)
    assert len(image.convert("RGB").getcolors(maxcolors=1000) or []) > 1, "not a blank sheet"


def test_each_line_keeps_its_own_colour() -> None:
    names = "abcdef"
    lines = {name: [float(n), 10.0 - n] for n, name in enumerate(names)}
    drawn = image_of(pictures.curves(lines, "Title", "INR", "market days").md_str).convert("RGB")
    found = {colour for _, colour in drawn.getcolors(maxcolors=1000) or []}
    assert {ImageColor.getrgb(colour) for colour in pictures._PALETTE[: len(names)]} <= found


def test_small_series_are_drawn_together() -> None:
    parts = {name: [float(size)] for name, size in zip("abcdefgh", range(1, 9), strict=True)}
    found = pictures._largest(parts)
    assert list(found) == ["h", "g", "f", "e", "d", "c", "other"]
    assert found["other"].tolist() == [3.0]


def test_a_single_day_is_drawn_as_its_parts() -> None:
    found = pictures.stacked_days(["2025-01-01"], {"b": [2.0], "a": [5.0]}, "Ideas", "ideas")
    assert found == pictures.bars(["a", "b"], [5.0, 2.0], "Ideas, 2025-01-01", "ideas")


@pytest.mark.parametrize(
    ("drawn", "other"),
    [
        (lambda unit: pictures.bars(["a"], [1], "T", unit), "ideas"),
        (lambda unit: pictures.stacked_days(["d1", "d2"], {"a": [1, 2]}, "T", unit), "ideas"),
        (lambda unit: pictures.histogram([1.0, 2.0], "T", "R", unit), "ideas"),
        (lambda unit: pictures.curves({"a": [1, 2]}, "T", "INR", unit), "trades"),
    ],
)
def test_the_unit_stands_at_the_axis(drawn: Callable[[str], MarkdownMetadataValue], other: str) -> None:
    assert image_of(drawn("rows").md_str).tobytes() != image_of(drawn(other).md_str).tobytes()


def test_the_same_values_give_the_same_bytes() -> None:
    assert DRAWN["days"]().md_str == DRAWN["days"]().md_str
    assert DRAWN["bars"]().md_str != DRAWN["no bars"]().md_str
