"""Source profiles and aliases: data files under ``config/``."""

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from adapters.settings import CLONE_ROOT
from propdesk.core.errors import ConfigFault
from propdesk.intake import (
    CANONICAL_FIELDS,
    Aliases,
    FullExport,
    PriceUnit,
    RecordKind,
    Rename,
    SourceProfile,
    fold_symbol,
)
from propdesk.intake.profile import fold_name
from propdesk.model.enums import Category, EntryType, FollowupKind, OptionType, Period, Side

PROFILE_FOLDER = CLONE_ROOT / "config" / "source_profiles"
ALIASES_FILE = CLONE_ROOT / "config" / "aliases.yaml"
_KEYS = frozenset(
    {"source", "columns", "required", "date_formats", "time_formats", "utc_offset", "price_unit", "values"}
    | {"defaults", "free_text", "delimiter", "description", "records", "carry", "skip", "full_export"}
)
_OFFSET = re.compile(r"[+-](?:0[0-9]|1[0-4]):[0-5][0-9]\Z")
_SAMPLE_MOMENT = datetime(2025, 1, 31, 15, 4, 5, tzinfo=UTC)
_WORDS: dict[str, frozenset[str]] = {
    "kind": frozenset(kind.value for kind in RecordKind),
    "category": frozenset(category.value for category in Category),
    "side": frozenset(side.value for side in Side),
    "entry_type": frozenset(kind.value for kind in EntryType),
    "option_type": frozenset(kind.value for kind in OptionType),
    "period": frozenset(period.value for period in Period),
    "followup_kind": frozenset(kind.value for kind in FollowupKind),
}
"""What a profile may translate a file's words into."""


def list_profiles(folder: Path = PROFILE_FOLDER) -> list[str]:
    """Name the source profiles there are."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_profile(name: str, folder: Path = PROFILE_FOLDER) -> SourceProfile:
    """Read one source profile.

    Parameters
    ----------
    name : str
        File name without ``.yaml``.

    Raises
    ------
    ConfigFault
        If there is none of that name or it is malformed.
    """
    path = folder / f"{name}.yaml"
    known = list_profiles(folder)
    if name not in known:
        raise ConfigFault(
            f"There is no source profile {name!r}: choose from {', '.join(known)} or add {path}."
        )
    data = _read_mapping(path)
    unknown = sorted(set(data) - _KEYS)
    if unknown:
        raise ConfigFault(f"{path} has unknown entries {', '.join(unknown)}: use {', '.join(sorted(_KEYS))}.")
    try:
        return _profile(name, data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigFault(f"{path} is not a usable source profile: {error}.") from error


def _profile(name: str, data: dict[str, Any]) -> SourceProfile:
    columns = {str(field): tuple(map(str, aliases or ())) for field, aliases in data["columns"].items()}
    values = data.get("values") or {}
    for field in (*columns, *values, *(data.get("defaults") or {}), *(data.get("required") or ())):
        if field not in CANONICAL_FIELDS:
            raise ValueError(f"{field!r} is none of the fields {', '.join(CANONICAL_FIELDS)}")
    _check_columns(columns, data)
    _check_words(values, data.get("defaults") or {})
    _check_formats(data)
    return SourceProfile(
        name=name,
        source=str(data["source"]),
        columns=columns,
        required=tuple(data.get("required") or ("posted_at",)),
        date_formats=tuple(data.get("date_formats") or ()),
        time_formats=tuple(data.get("time_formats") or ()),
        offset_minutes=_offset(data.get("utc_offset", "+05:30")),
        price_unit=PriceUnit(data.get("price_unit", "RUPEES")),
        values={
            field: {str(word).upper(): str(ours) for word, ours in words.items()}
            for field, words in values.items()
        },
        defaults={str(field): str(value) for field, value in (data.get("defaults") or {}).items()},
        free_text=bool(data.get("free_text", False)),
        delimiter=str(data.get("delimiter", ",")),
        index_names=index_names(),
        records=str(data.get("records") or ""),
        carry={str(field): str(key) for field, key in (data.get("carry") or {}).items()},
        skip={str(key): tuple(map(str, words)) for key, words in (data.get("skip") or {}).items()},
        full_export=FullExport(str(data.get("full_export", "NO")).upper()),
    )


def _check_columns(columns: dict[str, tuple[str, ...]], data: dict[str, Any]) -> None:
    owners: dict[str, str] = {}
    for field, aliases in columns.items():
        for title in (field, *aliases):
            owner = owners.setdefault(fold_name(title), field)
            if owner != field:
                raise ValueError(f"the column {title!r} is claimed by both {owner} and {field}")
    carry = data.get("carry") or {}
    for field in (*carry, *(data.get("required") or ())):
        if field not in columns:
            raise ValueError(f"{field!r} is carried or required but has no entry under columns")
    if carry and not data.get("records"):
        raise ValueError("carry needs records, the key of the list inside the object")


def _check_words(values: dict[str, dict[str, Any]], defaults: dict[str, Any]) -> None:
    for field, words in (*values.items(), *((field, {"default": word}) for field, word in defaults.items())):
        known = _WORDS.get(field)
        wrong = [] if known is None else sorted({str(word) for word in words.values()} - known)
        if wrong and known is not None:
            raise ValueError(
                f"{field} is translated into {', '.join(wrong)}; it knows {', '.join(sorted(known))}"
            )


def _check_formats(data: dict[str, Any]) -> None:
    for name in ("date_formats", "time_formats"):
        for pattern in data.get(name) or ():
            text = _SAMPLE_MOMENT.strftime(str(pattern))
            read = datetime.strptime(text, str(pattern))  # noqa: DTZ007  # only the day counts
            if "%y" in str(pattern) or read.date() != _SAMPLE_MOMENT.date():
                raise ValueError(f"{pattern!r} under {name} does not name day, month and four-digit year")
    if len(str(data.get("delimiter", ","))) != 1:
        raise ValueError("the delimiter is one character")


def _offset(text: str) -> int:
    if not _OFFSET.match(str(text)):
        raise ValueError(f"utc_offset {text!r} is not written like +05:30")
    sign = -1 if text.startswith("-") else 1
    hours, minutes = text.lstrip("+-").split(":")
    return sign * (int(hours) * 60 + int(minutes))


def load_aliases(path: Path = ALIASES_FILE) -> Aliases:
    """Read the spellings of underlyings.

    Raises
    ------
    ConfigFault
        If the file is missing or malformed.
    """
    return _load_aliases(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=4)
def _load_aliases(path: Path, _version: int) -> Aliases:
    data = _read_mapping(path)
    try:
        renames = [
            Rename(str(row["old"]), str(row["new"]), _as_date(row["since"]))
            for row in data.get("renames") or ()
        ]
        return Aliases.build(_spellings(data["indices"]), _spellings(data["stocks"]), renames)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigFault(f"{path} is not a usable list of aliases: {error}.") from error


def index_names() -> frozenset[str]:
    """Folded spellings of every index."""
    aliases = load_aliases()
    return frozenset(
        {folded for folded, symbol in aliases.names.items() if symbol in aliases.indices}
        | {fold_symbol(symbol) for symbol in aliases.indices}
    )


def _spellings(data: dict[str, Any]) -> dict[str, list[str]]:
    return {str(symbol): [str(one) for one in spellings or ()] for symbol, spellings in data.items()}


def _as_date(value: object) -> date:
    if not isinstance(value, date):
        raise ValueError(f"{value!r} is no date written 2026-01-31")
    return value


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigFault(f"{path} cannot be read: {error}.") from error
    if not isinstance(data, dict):
        raise ConfigFault(f"{path} must hold a mapping.")
    return data
