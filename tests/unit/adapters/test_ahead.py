"""The next item is made while the last is worked on, and never more than that one."""

import threading
from collections.abc import Iterator

import pytest

from adapters.ahead import one_ahead


def test_items_come_in_order_and_none_gives_none() -> None:
    assert list(one_ahead(iter(range(5)))) == [0, 1, 2, 3, 4]
    assert list(one_ahead(iter([None]))) == [None]
    assert list(one_ahead(iter(()))) == []


def test_the_next_one_is_made_meanwhile_and_only_that() -> None:
    made: list[int] = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for number in range(4):
            made.append(number)
            if number == 1:
                second.set()
            yield number

    ahead = one_ahead(items())
    assert next(ahead) == 0
    assert second.wait(10), "made while the first is worked on"
    assert made == [0, 1]
    ahead.close()
    assert made == [0, 1]


def test_an_error_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("second")

    ahead = one_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="second"):
        next(ahead)
