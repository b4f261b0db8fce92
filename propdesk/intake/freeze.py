"""Freeze quantities by the trading day, for contracts whose file names none (§1.5)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from propdesk.model.instrument import Instrument

_DAY = timedelta(days=1)


def with_freeze(
    instruments: Iterable[Instrument], steps: Mapping[str, Sequence[tuple[date, int]]]
) -> list[Instrument]:
    """Give derivatives the freeze quantity that the exchange's table holds for each day.

    Parameters
    ----------
    instruments : iterable of Instrument
        Any; only contracts whose file named no freeze quantity (0) can change.
    steps : mapping of str to sequence of (date, int)
        Per underlying, rising: from when, largest units of one order.

    Returns
    -------
    list of Instrument
        In the same order; a contract's row is cut where the table changes.

    Notes
    -----
    The exchange computes the quantity anew every month from the index level, for contracts long listed too: a
    number fixed when a file was loaded would be refused some weeks later.
    """
    found: list[Instrument] = []
    for one in instruments:
        own = steps.get(one.underlying, ()) if one.category.is_derivative else ()
        if one.freeze_quantity or not own:
            found.append(one)
        else:
            found += _cut(one, own)
    return found


def _cut(contract: Instrument, steps: Sequence[tuple[date, int]]) -> Iterator[Instrument]:
    start, units = contract.valid_from, 0
    for since, after in steps:
        if since > contract.valid_to:
            break
        if since > start and after != units:
            yield replace(contract, valid_from=start, valid_to=since - _DAY, freeze_quantity=units)
            start = since
        units = after
    yield replace(contract, valid_from=start, freeze_quantity=units)
