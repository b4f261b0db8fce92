"""How answers are written: JSON by orjson, an ETag of the content, infinities as words."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from fastapi import Request
from fastapi.responses import Response

INFINITE: Final = "Infinity"
_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**63 - 1
_ETAG_LENGTH: Final = 32


def answer(request: Request, content: Mapping[str, Any]) -> Response:
    """Answer with JSON, or with 304 if the client has just that.

    Parameters
    ----------
    request : Request
        Its ``If-None-Match`` is compared.
    content : mapping
        Numbers, text, days, moments, lists and mappings of those. NaN becomes null (undefined); an infinite
        number (a profit factor without a loss) the word ``Infinity``, since JSON has no other; a whole number
        beyond 64 bits (a document may hold one) its digits as text.
    """
    body = written(content)
    etag = f'"{hashlib.sha256(body).hexdigest()[:_ETAG_LENGTH]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    if _names(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def written(content: Mapping[str, Any]) -> bytes:
    """Write JSON as every answer and event has it."""
    return orjson.dumps(_plain(content))


def _names(headers: Iterable[str], etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/") for header in headers for tag in header.split(",")}
    return etag in tags or "*" in tags


def _plain(value: Any) -> Any:
    if isinstance(value, int) and not _INT_MIN <= value <= _INT_MAX:
        return str(value)
    if isinstance(value, float):
        if math.isinf(value):
            return INFINITE if value > 0 else f"-{INFINITE}"
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
