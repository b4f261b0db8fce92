"""Files of signal documents for a replayed day."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Final

from propdesk.core.errors import LimitFault, SchemaFault

DOCUMENTS_MAX: Final = 100_000
"""A day of the busiest desk has some thousand ideas."""
_GZIP: Final = b"\x1f\x8b"


def read_signal_file(path: Path) -> list[dict[str, object]]:
    """Read documents from JSON lines, a JSON array or CSV (plain or gzip), keys as in the sample profile.

    Raises
    ------
    SchemaFault
        If the file cannot be read as one of these; the sentence names the line.
    LimitFault
        If it holds more than `DOCUMENTS_MAX` documents.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw.startswith(_GZIP) else raw).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SchemaFault(f"{path} cannot be read as UTF-8 text ({error}): give a readable file") from None
    first = text.lstrip()[:1]
    if first == "[":
        documents = _checked(_json(path, 1, text), path)
    elif first == "{":
        lines = enumerate(text.splitlines(), start=1)
        documents = _checked([_json(path, number, line) for number, line in lines if line.strip()], path)
    else:
        documents = [
            {name: value for name, value in row.items() if name is not None and value}
            for row in csv.DictReader(io.StringIO(text))
        ]
    if not documents:
        raise SchemaFault(f"{path} holds no signal: it needs JSON lines, a JSON array or CSV with a header")
    if len(documents) > DOCUMENTS_MAX:
        raise LimitFault(f"{path} holds {len(documents)} documents, at most {DOCUMENTS_MAX} are replayed")
    return documents


def _json(path: Path, number: int, text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise SchemaFault(f"{path}, line {number}: not readable as JSON ({error})") from None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _checked(found: object, path: Path) -> list[dict[str, object]]:
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise SchemaFault(f"{path} must hold JSON objects, one per signal")
    return found
