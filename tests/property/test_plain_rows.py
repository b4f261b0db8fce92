"""Rows taken together give what they give one by one, however odd they are."""

import csv
import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.calendar import load_calendar
from adapters.db.repos.uploads import IncomingRow, QuarantinedRow, incoming_table
from adapters.uploads.blocks import Block, LookedAhead, Row, block_of
from adapters.uploads.ingest import Sorter
from adapters.uploads.limits import UploadFault
from adapters.uploads.readers import BadRow, UploadReader
from bench.bad_input import LIMITS, NOW_NS, good_followup, good_option, good_row
from propdesk.intake import DOCUMENT_PROFILE, DerivativeListings, IntakeTimes, PriceUnit, SourceProfile

STAMPS = (
    *("2025-06-02T09:20:00+05:30", "2025-06-02 15:29:59", "2025-06-02T15:30", "2025-06-02T03:50:07Z"),
    *("2025-06-02T09:20:00.123456+05:30", "2025-06-02T09:20:00,5", "2025-06-02T09:20:60+05:30"),
    *("02-06-2025 09:20:11", "02/06/2025 09.20", "2025-02-30T10:00:00", "1999-01-01T00:00:00Z"),
    *("2025-07-01T13:34:59+05:30", "2025-07-01T13:35:01+05:30", "2025-06-01T11:00:00+05:30", "soon", "0"),
    *("2019-06-03T10:00:00+05:30", "2025-06-02T09:20:٠٠+05:30", "2025-06-02T09:20:00+05:30x"),
)
PROFILES = (
    DOCUMENT_PROFILE,
    replace(
        DOCUMENT_PROFILE,
        price_unit=PriceUnit.PAISE,
        values={"category": {"CASH": "NSE_EQ", "OPT": "STOCK_OPT"}, "side": {"B": "BUY", "GONE": ""}},
        defaults={"kind": "SIGNAL", "advisor_id": "A9", "category": "CASH"},
        date_formats=("%d-%m-%Y",),
        time_formats=("%d-%m-%Y %H:%M:%S", "%d/%m/%Y %H.%M"),
    ),
    replace(DOCUMENT_PROFILE, source='a "quoted" source', defaults={"kind": "SIGNAL", "period": "Größe"}),
    replace(DOCUMENT_PROFILE, defaults={"kind": "SIGNAL", "group_key": "", "posted_at": "Größe"}),
    replace(DOCUMENT_PROFILE, values={"posted_at": {"SOON": ""}, "edited_at": {"SOON": STAMPS[0], "0": "é"}}),
)
ODD = (
    *(
        "",
        " ",
        "\t",
        "x",
        " x ",
        "a,b",
        'say "x"',
        "back\\slash",
        "línea",
        "₹",
        "\x00",
        "\x1fx",
        "\x7f",
        "x\ny",
    ),
    *("\u00a0", "\u2028", "-", "=1+1", "007", "0", "1000", "NaN", "1e308", "١٢", "'", "x" * 40, "y" * 5_000),
)
CELLS = {
    "kind": ("SIGNAL", "signal", "FOLLOWUP", "Followup", "OTHER", "ſignal"),
    "ordinal": ("0", "1", "07", "999", "1000", "-1"),
    "posted_at": STAMPS,
    "received_at": STAMPS,
    "edited_at": STAMPS,
    "reported_exit_at": STAMPS,
    "category": ("NSE_EQ", "nse_eq", "CASH", "OPT", "STOCK_OPT", "INDEX_FUT"),
    "symbol": ("TCS", "tcs", " T C S", "INFY", "NIFTY"),
    "side": ("BUY", "B", "gone", "SELL"),
    "expiry": ("2025-06-26", "26-06-2025", "current_weekly", "WEEKLY"),
    "strike": ("25000", "2500000", "2500000.00"),
    "entry_low": ("100", "10000", "1,00,000"),
    "targets": ("101/102", "10100/10200", "10100 / 10200"),
    "source_message_id": ("m1", "m2", " m2 "),
}
NAMES = sorted({*CELLS, "advisor_id", "advisor_name", "source", "period", "group_key", "stoploss", "text"})
LISTINGS = DerivativeListings({"TCS": [(date(2025, 1, 1), date(2025, 6, 2))]})


def fields() -> st.SearchStrategy[dict[str, str]]:
    """A good row of which some cells are exchanged, added or taken away."""
    good = st.builds(
        lambda make, number: make(number),
        st.sampled_from((good_row, good_row, good_option, good_followup)),
        st.integers(0, 3),
    )

    def changes(name: str) -> st.SearchStrategy[str]:
        return st.sampled_from((*CELLS.get(name, ()), *ODD))

    changed = st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), changes(name)))
    return st.builds(lambda row, cells: {**row, **dict(cells)}, good, st.lists(changed, max_size=4))


def sorter(profile: SourceProfile, lag_s: int = 30) -> Sorter:
    return Sorter(
        profile,
        load_calendar(),
        IntakeTimes(NOW_NS, lag_s * 1_000_000_000),
        first_day=date(2021, 3, 26),
        listings=LISTINGS,
        field_length_max=LIMITS.field_length_max,
    )


def one_by_one(
    own: Sorter, outcomes: Sequence[Row | BadRow]
) -> tuple[list[IncomingRow], list[QuarantinedRow]]:
    found = [one for outcome in outcomes for one in own.sort(outcome)]
    good = [one for one in found if isinstance(one, IncomingRow)]
    return good, [one for one in found if isinstance(one, QuarantinedRow)]


@given(st.lists(fields(), min_size=1, max_size=12), st.sampled_from(PROFILES), st.sampled_from((0, 30)))
def test_rows_are_sorted_together_as_one_by_one(
    rows: list[dict[str, str]], profile: SourceProfile, lag_s: int
) -> None:
    numbered = [Row(number, row) for number, row in enumerate(rows, start=1)]
    good, bad = one_by_one(sorter(profile, lag_s), numbered)
    block = block_of(numbered)
    assert block is not None
    table, refused = sorter(profile, lag_s).sort_together(block)
    assert refused == bad
    assert table.equals(incoming_table(good)), (table.to_pylist(), good)


def test_the_rows_that_are_plain_are_taken_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the comparison above would compare a thing with itself."""
    asked: list[int] = []
    sort = Sorter.sort
    monkeypatch.setattr(Sorter, "sort", lambda self, one: asked.append(one.number) or sort(self, one))
    rows = [Row(number, (good_row, good_option, good_followup)[number % 3](number)) for number in range(60)]
    rows[7] = Row(7, {**rows[7].fields, "advisor_name": 'A "B" C'})
    table, bad = sorter(DOCUMENT_PROFILE).sort_together(rows)
    assert (len(table), bad, asked) == (60, [], [7])


def test_a_lone_surrogate_sends_rows_the_slow_way() -> None:
    rows = [Row(number, good_row(number)) for number in range(60)]
    rows[3] = Row(3, {**rows[3].fields, "advisor_name": "\ud800"})
    assert block_of(rows) is None
    table, bad = sorter(DOCUMENT_PROFILE).sort_together(rows)
    assert (len(table), [one.row_number for one in bad]) == (59, [3])


TEXTS = st.sampled_from(("a", "", " ", "1.5", 'q"q', '"', "a,b", "x\ny", "é", "\x92", "\r", "\x00", "a\tb"))


def as_csv(rows: list[list[str]], end: str, quoting: int) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return text.getvalue().encode("utf-8")


def raw_lines(lines: list[list[str]], end: str, quoting: int) -> bytes:
    return end.join(",".join(line) for line in lines).encode("cp1252", "replace")


@given(
    st.lists(st.lists(TEXTS, min_size=3, max_size=3) | st.lists(TEXTS, max_size=4), max_size=30),
    st.sampled_from(("\n", "\r\n", "\n\n")),
    st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
    st.sampled_from((as_csv, raw_lines)),
    st.integers(1, 200),
    st.sampled_from(("kind,advisor_id,posted_at", "\ufeffkind,posted_at,advisor_id", "x,kind,posted_at")),
)
def test_a_csv_reads_the_same_whatever_of_it_is_plain(
    rows: list[list[str]],
    end: str,
    quoting: int,
    write: Callable[[list[list[str]], str, int], bytes],
    block_bytes: int,
    header: str,
) -> None:
    content = header.encode() + b"\n" + write(rows, end, quoting)

    def read(*, by_blocks: bool) -> list[Row | BadRow] | str:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr("adapters.uploads.blocks._BLOCK_BYTES", block_bytes)
            if not by_blocks:
                patch.setattr(LookedAhead, "plain_lines", lambda _: b"")
            path = Path(folder) / "signals.csv"
            path.write_bytes(content)
            profile = replace(DOCUMENT_PROFILE, required=("kind", "posted_at"))
            try:
                return list(UploadReader(path, profile, LIMITS))
            except UploadFault as fault:
                return str(fault)

    assert read(by_blocks=True) == read(by_blocks=False)


def test_plain_lines_are_read_by_blocks(tmp_path: Path) -> None:
    lines = ["kind,advisor_id,posted_at", "SIGNAL,A,now", "", "SIGNAL,B,then"]
    path = tmp_path / "signals.csv"
    path.write_text("\r\n".join(lines), encoding="utf-8", newline="")
    (piece,) = UploadReader(path, DOCUMENT_PROFILE, LIMITS).pieces()
    assert isinstance(piece, Block)
    assert list(piece.numbers) == [1, 2]
    assert piece.columns["advisor_id"] == pa.array(["A", "B"])
    assert piece.part(1, 2).row(0) == Row(2, {"kind": "SIGNAL", "advisor_id": "B", "posted_at": "then"})
