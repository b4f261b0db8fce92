"""Names of underlyings: many spellings, one symbol, as of a date."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache

_SEPARATORS = re.compile(r"[\s_.\-]+")


@lru_cache(maxsize=16_384)  # half a million calls for some hundred spellings
def fold_symbol(text: str) -> str:
    """Strip case, blanks, dots, dashes and underscores, for comparing names.

    Examples
    --------
    >>> fold_symbol(" Nifty 50 "), fold_symbol("M&M"), fold_symbol("BAJAJ-AUTO")
    ('NIFTY50', 'M&M', 'BAJAJAUTO')
    """
    return _SEPARATORS.sub("", text).upper()


@dataclass(frozen=True, slots=True)
class Rename:
    """A symbol the exchange renamed: from ``since`` on the old name means the new one."""

    old: str
    new: str
    since: date


@dataclass(frozen=True, slots=True)
class Aliases:
    """Spellings of symbols; build it with `Aliases.build`."""

    names: Mapping[str, str] = field(default_factory=dict)
    indices: frozenset[str] = frozenset()
    renames: Mapping[str, Rename] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        indices: Mapping[str, Iterable[str]],
        stocks: Mapping[str, Iterable[str]],
        renames: Iterable[Rename] = (),
    ) -> "Aliases":
        """Index spellings by their folded form.

        Parameters
        ----------
        indices, stocks : mapping of str to iterable of str
            Symbol to its other spellings.
        renames : iterable of Rename
            Dated changes of symbols.

        Returns
        -------
        Aliases
            Also knows every symbol by its own name.
        """
        names: dict[str, str] = {}
        for symbol, spellings in (*stocks.items(), *indices.items()):
            for spelling in (symbol, *spellings):
                names[fold_symbol(spelling)] = symbol
        return cls(names, frozenset(indices), {rename.old: rename for rename in renames})

    def canonical(self, text: str, on_date: date) -> str:
        """Give the symbol for a spelling, as of a date.

        Renames chain: a symbol renamed twice has its newest name of the day. An unknown name comes back in
        upper case without blanks: whether it exists, the instrument master decides.
        """
        symbol = self.names.get(fold_symbol(text)) or "".join(text.split()).upper()
        seen = {symbol}
        while (rename := self.renames.get(symbol)) is not None and rename.since <= on_date:
            symbol = rename.new
            if symbol in seen:
                break
            seen.add(symbol)
        return symbol

    def spans(self, text: str, first: date, last: date) -> list[tuple[str, date, date]]:
        """Say which symbol any known spelling has on which days of a closed range, in order."""
        days = {first, *(one.since for one in self.renames.values() if first < one.since <= last)}
        found: list[tuple[str, date, date]] = []
        for day in sorted(days):
            symbol = self.canonical(text, day)
            if found and found[-1][0] == symbol:
                continue
            if found:
                found[-1] = (*found[-1][:2], day - timedelta(days=1))
            found.append((symbol, day, last))
        return found

    def is_index(self, symbol: str) -> bool:
        """Whether a canonical symbol is an index."""
        return symbol in self.indices
