"""Make the next of a series while the last is worked on."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


def one_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """Yield what an iterator yields; a thread asks for the next one meanwhile, one at a time.

    Parameters
    ----------
    items : iterator
        Its work is worth a thread if it lets others run: compiled code, files, other processes. It is never
        asked twice at once, and its errors are raised here, in their place.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        ready = pool.submit(next, items, _END)
        while (item := ready.result()) is not _END:
            ready = pool.submit(next, items, _END)
            yield item  # type: ignore[misc]  # an item, since it is not the end
