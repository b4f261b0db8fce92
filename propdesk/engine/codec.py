"""Canonical JSON of events, commands, decisions and state: the same value always gives the same bytes.

Objects carry their class name under ``type`` so that a union is read back without guessing; keys are
sorted, numbers of money and time are integers, and nothing that JSON does not know (NaN, Infinity) passes.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from enum import Enum
from functools import cache
from typing import Any, TypeVar

from propdesk.core.errors import SchemaFault
from propdesk.engine.resolution import Resolution
from propdesk.engine.state import CarryOver
from propdesk.model import messages
from propdesk.model.messages import ADDED, Event, OrderIntent

T = TypeVar("T")
Plain = Any
"""What the json module can write."""

_TYPE = "type"
_PLAIN_TYPES = frozenset({int, str, bool, type(None)})


# ------------------------------------------------------------------ writing


def to_plain(value: object) -> Plain:
    """Turn a message into what JSON can hold.

    Raises
    ------
    SchemaFault
        If a value has no canonical form (a NaN, an object that is no message).
    """
    if value is None or isinstance(value, bool | int | str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, float):
        if value - value != 0:
            raise SchemaFault("a float that is not finite has no canonical form; use None for undefined")
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(to_plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return _plain_object(value)


def _plain_object(value: object) -> Plain:
    kind = type(value)
    if not dataclasses.is_dataclass(kind):
        raise SchemaFault(f"{kind.__name__} is no message and has no canonical form")
    plain: dict[str, Plain] = {_TYPE: kind.__name__}
    added = _added_fields(kind)
    for name in _field_names(kind):
        item = getattr(value, name)
        if name in added and item == added[name]:
            continue
        # most fields of most messages are plain already; a subclass (an enum) is not
        plain[name] = item if type(item) in _PLAIN_TYPES else to_plain(item)
    return plain


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    # what a class works out for itself is not part of its value
    return tuple(field.name for field in dataclasses.fields(kind) if field.init)


@cache
def _added_fields(kind: type) -> Mapping[str, object]:
    """Defaults of the fields that earlier documents lack (`propdesk.model.messages.ADDED`)."""
    return {field.name: field.default for field in dataclasses.fields(kind) if field.metadata.keys() & ADDED}


def encode(value: object) -> bytes:
    """Encode one value canonically (UTF-8 JSON, sorted keys, no spaces)."""
    text = json.dumps(
        to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def encode_values(values: Sequence[object]) -> bytes:
    """Encode values in order as one JSON array."""
    return encode(tuple(values))


def encode_events(events: Sequence[Event]) -> bytes:
    """Encode a batch of events as it is journalled."""
    return encode(tuple(events))


# ------------------------------------------------------------------ reading


def decode(kind: type[T], data: bytes) -> T:
    """Read one value of a known class.

    Raises
    ------
    SchemaFault
        If the bytes are no JSON or do not hold that class.
    """
    value: T = from_plain(kind, _parse(data))
    return value


def decode_events(data: bytes) -> tuple[Event, ...]:
    """Read a journalled batch; raises `SchemaFault` if it holds anything but events."""
    plain = _parse(data)
    if not isinstance(plain, list):
        raise SchemaFault("a journalled batch is a JSON array of events")
    reader = _reader(Event)
    return tuple(reader(item) for item in plain)


def decode_intent(plain: Mapping[str, Plain]) -> OrderIntent:
    """Read an order intent from its stored document."""
    intent: OrderIntent = from_plain(OrderIntent, dict(plain))
    return intent


def decode_resolutions(data: bytes) -> tuple[Resolution, ...]:
    """Read the answers of the instrument master that a journal row carries."""
    answers: tuple[Resolution, ...] = from_plain(tuple[Resolution, ...], _parse(data))
    return answers


def encode_carry_over(carried: CarryOver) -> bytes:
    """Encode what a day hands to the next."""
    return encode(carried)


def decode_carry_over(data: bytes) -> CarryOver:
    """Read what the day before handed over."""
    return decode(CarryOver, data)


def from_plain(kind: Any, plain: Plain) -> Any:
    """Turn plain data back into a value of ``kind``.

    Raises
    ------
    SchemaFault
        If the data does not fit.
    """
    return _reader(kind)(plain)


def _parse(data: bytes) -> Plain:
    try:
        return json.loads(data)
    except ValueError as error:
        raise SchemaFault(f"not readable as JSON: {error}") from error


@cache
def _reader(kind: Any) -> Callable[[Plain], Any]:
    """Build the reader of a type once."""
    if isinstance(kind, str):
        kind = getattr(messages, kind)
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _union_reader(typing.get_args(kind))
    if origin is not None:
        return _container_reader(origin, typing.get_args(kind))
    if dataclasses.is_dataclass(kind):
        return _object_reader(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum_reader(kind)
    if kind is date:
        return date.fromisoformat
    if kind is float:
        return float
    return _same_reader(kind)


def _same_reader(kind: Any) -> Callable[[Plain], Any]:
    def read(plain: Plain) -> Any:
        # bool is an int in Python; a flag where an amount belongs would pass unseen
        if not isinstance(plain, kind) or (kind is int and isinstance(plain, bool)):
            raise SchemaFault(f"{plain!r} is not of type {kind.__name__}")
        return plain

    return read


def _enum_reader(kind: type[Enum]) -> Callable[[Plain], Any]:
    def read(plain: Plain) -> Any:
        try:
            return kind(plain)
        except ValueError as error:
            raise SchemaFault(f"{plain!r} is no {kind.__name__}") from error

    return read


def _union_reader(options: tuple[Any, ...]) -> Callable[[Plain], Any]:
    objects: dict[str, Any] = {}
    others: list[Any] = []
    for option in options:
        if dataclasses.is_dataclass(option):
            objects[getattr(option, "__name__", "")] = option
        elif option is not types.NoneType:
            others.append(option)
    optional = types.NoneType in options

    def read(plain: Plain) -> Any:
        if plain is None and optional:
            return None
        if isinstance(plain, dict) and plain.get(_TYPE) in objects:
            return _reader(objects[plain[_TYPE]])(plain)
        if len(others) == 1:
            return _reader(others[0])(plain)
        if len(objects) == 1 and not others:
            return _reader(next(iter(objects.values())))(plain)
        raise SchemaFault(f"none of {sorted(objects)} fits what was read")

    return read


def _container_reader(origin: Any, arguments: tuple[Any, ...]) -> Callable[[Plain], Any]:
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin is frozenset:
        item = _reader(arguments[0])
        return lambda plain: frozenset(item(p) for p in plain)
    key, value = _reader(arguments[0]), _reader(arguments[1])
    return lambda plain: {key(name): value(item) for name, item in plain.items()}


def _tuple_reader(arguments: tuple[Any, ...]) -> Callable[[Plain], Any]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _reader(arguments[0])
        return lambda plain: tuple(item(p) for p in plain)
    items = [_reader(argument) for argument in arguments]
    return lambda plain: tuple(read(p) for read, p in zip(items, plain, strict=True))


def _object_reader(kind: Any) -> Callable[[Plain], Any]:
    hints = typing.get_type_hints(kind)
    names, added = _field_names(kind), _added_fields(kind)
    readers: dict[str, Callable[[Plain], Any]] = {}

    def read(plain: Plain) -> Any:
        if not isinstance(plain, dict) or plain.get(_TYPE, kind.__name__) != kind.__name__:
            raise SchemaFault(f"expected {kind.__name__}")
        if not readers:
            readers.update({name: _reader(hints[name]) for name in names})
        missing = [name for name in names if name not in plain and name not in added]
        if missing:
            raise SchemaFault(f"{kind.__name__} lacks {', '.join(missing)}")
        return kind(**{name: readers[name](plain[name]) for name in names if name in plain})

    return read
