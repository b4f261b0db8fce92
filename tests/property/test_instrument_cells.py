"""Whatever stands in the cells of an instrument file: each row is taken or kept with a reason."""

import csv
import io
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.instruments import InstrumentFile, read_instrument_file
from propdesk.core.errors import SchemaFault

DAY = date(2025, 11, 14)
MASTER = {
    "EXCH_ID": "NSE",
    "SEGMENT": "D",
    "SECURITY_ID": "5",
    "INSTRUMENT": "OPTIDX",
    "UNDERLYING_SYMBOL": "NIFTY",
    "SYMBOL_NAME": "NIFTY-Nov2025-25000-CE",
    "INSTRUMENT_TYPE": "OP",
    "SERIES": "NA",
    "LOT_SIZE": "75.0",
    "SM_EXPIRY_DATE": "2025-11-18",
    "STRIKE_PRICE": "25000.00000",
    "OPTION_TYPE": "CE",
    "TICK_SIZE": "5.0000",
    "SM_FREEZE_QTY": "1801",
}
OPTIONS = {
    "INSTRUMENT": "OPTSTK",
    "SYMBOL": "TCS",
    "EXPIRY_DT": "25-Nov-2025",
    "STRIKE_PR": "3000",
    "OPTION_TYP": "PE",
    "CLOSE": "4.05",
    "TIMESTAMP": "14-Nov-2025",
}
LOTS = {"UNDERLYING": "TATA CONSULTANCY", "SYMBOL": "TCS", "NOV-25": "175", "DEC-25": "175"}
HOSTILE = st.sampled_from(
    [
        "", "NA", "-", "0", "-1", "5.5", "NaN", "inf", "1e308", "1_000", "٣", "9" * 30, "0x10", "=1+1", "\0",
        "\ufeff5", "0001-01-01", "2025-02-30", "31-12-9999", "2025-11-13", "14-Nov-2025", "a,b",
        'a"b', "a\nb",
    ]
) | st.text(st.characters(codec="utf-8"), max_size=12)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("instruments")


def read(folder: Path, rows: Sequence[dict[str, str]]) -> InstrumentFile | str:
    """Read rows as a file; the sentence of its refusal if it is refused whole."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path = folder / "file.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    try:
        return read_instrument_file(path, DAY, lot_table_on=lambda _: {("TCS", date(2025, 11, 1)): 175})
    except SchemaFault as fault:
        return str(fault)


@settings(max_examples=150)
@given(st.sampled_from([MASTER, OPTIONS, LOTS]), st.data())
def test_a_row_with_one_bad_cell_is_taken_or_kept_and_its_neighbour_is_untouched(
    folder: Path, good: dict[str, str], data: st.DataObject
) -> None:
    column = data.draw(st.sampled_from(sorted(good)))
    found = read(folder, [good, {**good, column: data.draw(HOSTILE)}])
    if isinstance(found, str):
        # Only a row that names another day than the file refuses it whole.
        assert column == "TIMESTAMP"
        assert found.startswith("file.csv speaks of ")
        return
    assert found.rows_read == found.rows_taken + sum(found.skipped.values()) == 2
    assert found.instruments or found.lots
    assert {one.row_number for one in found.rejected} <= {2}
    for one in found.instruments:
        assert one.lot_size > 0
        assert one.tick_paise > 0
        assert one.freeze_quantity >= 0
        assert one.valid_from == DAY <= one.valid_to
        assert "\0" not in one.instrument_key + one.security_id + one.series
    for row in found.rejected:
        assert row.message
        assert "\0" not in "".join(row.content.values())
