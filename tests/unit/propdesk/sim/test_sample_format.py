import csv
import io
from datetime import date

from propdesk.model.enums import Category, EntryType, OptionType, Period, Side
from propdesk.sim.advisor_rows import SampleRow
from propdesk.sim.sample_format import COLUMNS, csv_lines, document, live_document, rupees, text_row

ROW = SampleRow(
    kind="SIGNAL",
    source_message_id="ADV001-00001",
    advisor_id="ADV001",
    advisor_name='Some "Body", Ltd',
    sebi_reg_no="INH123456789",
    posted_s=1_735_789_500,  # 2025-01-02 09:15:00 IST
    received_s=1_735_789_530,
    states_receipt=True,
    category=Category.INDEX_OPT,
    symbol="NIFTY",
    expiry=date(2025, 1, 30),
    strike_paise=2_350_000,
    option_type=OptionType.CE,
    side=Side.BUY,
    entry_type=EntryType.LIMIT,
    entry_low_paise=14_205,
    entry_high_paise=14_205,
    stoploss_paise=12_705,
    targets_paise=(17_100, 20_005),
    period=Period.INTRADAY,
)


def test_every_value_is_written_as_the_profile_reads_it() -> None:
    text = text_row(ROW)
    assert tuple(text) == COLUMNS
    assert text["posted_at"] == "2025-01-02T09:15:00+05:30"
    assert text["received_at"] == "2025-01-02T09:15:30+05:30"
    assert (text["strike"], text["entry_low"], text["targets"]) == ("23500.00", "142.05", "171.00/200.05")
    assert (text["category"], text["side"], text["expiry"]) == ("INDEX_OPT", "BUY", "2025-01-30")
    assert text["fraction"] == ""


def test_csv_is_read_back_and_survives_quotes() -> None:
    rows = list(csv.DictReader(io.StringIO("".join(csv_lines([ROW] * 4_100)))))
    assert len(rows) == 4_100
    assert rows[-1] == text_row(ROW)


def test_a_live_document_leaves_out_what_is_empty_and_its_receipt() -> None:
    live = document(ROW)
    assert "received_at" not in live
    assert "group_key" not in live
    assert all(type(value) is str for value in live.values())
    assert live_document(ROW)["received_at"] == "2025-01-02T09:15:30+05:30"


def test_rupees_have_two_decimals() -> None:
    assert [rupees(p) for p in (0, 5, 100, -1_005, None)] == ["0.00", "0.05", "1.00", "-10.05", ""]
