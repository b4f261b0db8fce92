"""Source profiles and aliases: data files under ``config/``."""

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from adapters.settings import CLONE_ROOT
from propdesk.core.errors import ConfigFault
from propdesk.intake import CANONICAL_FIELDS, Aliases, PriceUnit, Rename, SourceProfile, fold_symbol

PROFILE_FOLDER = CLONE_ROOT / "config" / "source_profiles"
ALIASES_FILE = CLONE_ROOT / "config" / "aliases.yaml"
_KEYS = frozenset(
    {"source", "columns", "required", "date_formats", "time_formats", "utc_offset", "price_unit", "values"}
    | {"defaults", "free_text", "delimiter", "description"}
)


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
    )


def _offset(text: str) -> int:
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
