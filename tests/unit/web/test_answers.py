"""How numbers that JSON lacks are written, and which tags name an answer."""

from typing import Any

import pytest
from fastapi import Request

from web.api.answers import answer


def request(*tags: str) -> Request:
    headers = [(b"if-none-match", tag.encode()) for tag in tags]
    return Request({"type": "http", "method": "GET", "headers": headers})


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (float("nan"), b"null"),
        (float("inf"), b'"Infinity"'),
        (float("-inf"), b'"-Infinity"'),
        (0.1, b"0.1"),
        ([float("inf"), None], b'["Infinity",null]'),
        ({"a": (float("nan"),)}, b'{"a":[null]}'),
        (2**63 - 1, b"9223372036854775807"),
        (2**63, b'"9223372036854775808"'),
        ([-(2**63), -(2**63) - 1], b'[-9223372036854775808,"-9223372036854775809"]'),
        (True, b"true"),
    ],
)
def test_what_json_cannot_say_is_a_word_or_null(value: Any, written: bytes) -> None:
    assert answer(request(), {"x": value}).body == b'{"x":' + written + b"}"


def test_the_same_content_has_the_same_tag_and_other_content_another() -> None:
    one, two, other = (answer(request(), {"x": x}).headers["etag"] for x in (1, 1, 2))
    assert one == two != other


def test_a_tag_that_the_client_has_answers_304_without_a_body() -> None:
    tag = answer(request(), {"x": 1}).headers["etag"]
    for tags in ((tag,), (f"W/{tag}",), ('"old"', tag), (f'"old", {tag}',), ("*",)):
        found = answer(request(*tags), {"x": 1})
        assert (found.status_code, found.body, found.headers["etag"]) == (304, b"", tag)
    assert answer(request('"old"'), {"x": 1}).status_code == 200
