"""How one third party's file is to be read; data, so that a new source needs no code."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from propdesk.core.errors import SchemaFault

CANONICAL_FIELDS = (
    "kind",
    "source",
    "source_message_id",
    "ordinal",
    "advisor_id",
    "advisor_name",
    "sebi_reg_no",
    "posted_at",
    "received_at",
    "edited_at",
    "category",
    "symbol",
    "expiry",
    "strike",
    "option_type",
    "side",
    "entry_type",
    "entry_low",
    "entry_high",
    "stoploss",
    "targets",
    "period",
    "group_key",
    "reported_status",
    "reported_exit_price",
    "reported_exit_at",
    "refers_to",
    "followup_kind",
    "fraction",
    "text",
)
"""Every field a record can carry (§1.1, §1.2); ``text`` is a free-text message for the call parser."""

PRICE_FIELDS = ("strike", "entry_low", "entry_high", "stoploss", "reported_exit_price")
_NOT_WORD = re.compile(r"[^a-z0-9]+")


class PriceUnit(StrEnum):
    """Unit of every price in a file."""

    RUPEES = "RUPEES"
    PAISE = "PAISE"


class FullExport(StrEnum):
    """What a file's silence about a record known before says about it."""

    NO = "NO"
    ADVISOR = "ADVISOR"
    SOURCE = "SOURCE"


@dataclass(frozen=True, slots=True)
class SourceProfile:
    """Mapping of one kind of file to the canonical fields.

    Attributes
    ----------
    source : str
        Name of the source in ids, unless a column names it.
    columns : mapping of str to tuple of str
        Accepted column names per canonical field; compared without case, blanks and punctuation.
    required : tuple of str
        Canonical fields whose column must exist.
    date_formats, time_formats : tuple of str
        `datetime.strptime` patterns tried after ISO.
    offset_minutes : int
        Zone of stamps that name none, minutes east of UTC.
    values : mapping of str to mapping
        Per field: the file's word (upper case) to ours, e.g. category names.
    defaults : mapping of str to str
        Value of a field that is absent or empty.
    free_text : bool
        Field ``text`` is read by the call parser (`propdesk.intake.oneline`).
    index_names : frozenset of str
        Folded names of indices, to tell index options from stock options in free text.
    records : str
        Key of the list of records where a JSON file is one object around them; empty = none is.
    carry : mapping of str to str
        Canonical field to a key of that object whose value every record takes unless it has its own.
    skip : mapping of str to tuple of str
        Key of a record to the values with which it is no message at all (e.g. service notes); such a
        record is passed over.
    full_export : FullExport
        ADVISOR: a file is complete for the advisors it names. SOURCE: for its whole source. A record known
        before that such a file lacks was deleted.
    """

    name: str
    source: str
    columns: Mapping[str, tuple[str, ...]]
    required: tuple[str, ...] = ("posted_at",)
    date_formats: tuple[str, ...] = ()
    time_formats: tuple[str, ...] = ()
    offset_minutes: int = 330
    price_unit: PriceUnit = PriceUnit.RUPEES
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    free_text: bool = False
    delimiter: str = ","
    index_names: frozenset[str] = frozenset()
    records: str = ""
    carry: Mapping[str, str] = field(default_factory=dict)
    skip: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    full_export: FullExport = FullExport.NO

    def map_header(self, header: Sequence[str]) -> dict[int, str]:
        """Find which column holds which field.

        Parameters
        ----------
        header : sequence of str
            Column names as they stand in the file.

        Returns
        -------
        dict of int to str
            Position to canonical field; columns of no known name are left out.

        Raises
        ------
        SchemaFault
            If a required field has no column, or one field has two.
        """
        found = self.map_header_leniently(header)
        names = list(found.values())
        for place, name in found.items():
            if names.count(name) > 1 and place != min(p for p, n in found.items() if n == name):
                raise SchemaFault(
                    f"two columns hold {name} (the second is {header[place].strip()!r}): remove one of them"
                )
        missing = [name for name in self.required if name not in found.values()]
        if missing:
            wanted = "; ".join(f"{name} (accepted: {', '.join(self._accepted(name))})" for name in missing)
            raise SchemaFault(
                f"there is no column for {wanted}; the columns are {', '.join(map(repr, header[:40]))}: "
                f"rename them or choose another source profile than {self.name}"
            )
        return found

    def map_header_leniently(self, header: Sequence[str]) -> dict[int, str]:
        """Find which position holds which field; what a document lacks is judged by its values."""
        known = {
            fold_name(alias): name for name, aliases in self.columns.items() for alias in (name, *aliases)
        }
        return {
            place: known[folded]
            for place, title in enumerate(header)
            if (folded := fold_name(title)) in known
        }

    def _accepted(self, name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys((name, *self.columns.get(name, ()))))


def fold_name(title: str) -> str:
    """Strip case, blanks and punctuation from a column name."""
    return _NOT_WORD.sub("", title.strip().lower())


DOCUMENT_PROFILE = SourceProfile(
    name="sample",
    source="sample",
    columns=dict.fromkeys(CANONICAL_FIELDS, ()),
    required=("kind", "advisor_id", "posted_at"),
    defaults={"kind": "SIGNAL"},
)
"""Canonical names, rupees, ISO stamps: what documents of the live source and our own files carry."""
