from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from adapters.uploads import list_profiles, load_aliases, load_profile
from adapters.uploads.quarantine import escape_cell
from propdesk.core.errors import ConfigFault
from propdesk.intake import DOCUMENT_PROFILE, IntakeTimes, LandedRecord, land_row


def test_the_sample_profile_is_the_documents_own() -> None:
    sample = load_profile("sample")
    assert replace(sample, index_names=frozenset()) == DOCUMENT_PROFILE


@pytest.mark.parametrize("name", list_profiles())
def test_shipped_profiles_load(name: str) -> None:
    assert load_profile(name).columns


def test_a_third_party_s_words_are_translated() -> None:
    profile = load_profile("dhan_export")
    header = [
        "Analyst ID",
        "Call Time",
        "Instrument",
        "Underlying",
        "Expiry Date",
        "Strike Price",
        "drvOptionType",
    ]
    header += ["Transaction Type", "Order Type", "Price", "Stop Loss", "Target Price"]
    cells = [
        "RA7",
        "02/01/2025 09:20:00",
        "OPTIDX",
        "NIFTY",
        "30-01-2025",
        "24000",
        "CALL",
        "B",
        "LMT",
        "120",
        "90",
    ]
    places = profile.map_header(header)
    row = {name: (*cells, "150/180")[place] for place, name in places.items()}
    record = land_row(row, profile, IntakeTimes(1_751_000_000 * 10**9))[0]
    assert isinstance(record, LandedRecord)
    wanted = {
        "category": "INDEX_OPT",
        "expiry": "2025-01-30",
        "option_type": "CE",
        "side": "BUY",
        "entry_type": "LIMIT",
    }
    assert {name: record.content[name] for name in wanted} == wanted
    assert record.content["posted_at"] == "2025-01-02T03:50:00+00:00"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 1", "must hold a mapping"),
        ("source: x\ncolumns: {nonsense: []}", "none of the fields"),
        ("source: x\ncolumns: {symbol: []}\ncolour: red", "unknown entries colour"),
        ("source: x\ncolumns: {symbol: []}\nprice_unit: CENTS", "CENTS"),
        ("columns: {symbol: []}", "source"),
        ("source: [", "cannot be read"),
        ("source: x\ncolumns: {symbol: [name], advisor_name: [Name]}", "claimed by both"),
        ("source: x\ncolumns: {symbol: []}\nvalues: {side: {L: LONG}}", "side is translated into LONG"),
        ("source: x\ncolumns: {symbol: []}\ndefaults: {category: EQ}", "category is translated into EQ"),
        ("source: x\ncolumns: {symbol: []}\ntime_formats: ['%H:%M']", "does not name day"),
        ("source: x\ncolumns: {symbol: []}\ndate_formats: ['%d-%m-%y']", "four-digit year"),
        ("source: x\ncolumns: {symbol: []}\ndelimiter: ';;'", "one character"),
        ("source: x\ncolumns: {symbol: []}\nutc_offset: IST", "written like"),
        ("source: x\ncolumns: {symbol: []}\nrequired: [side]", "no entry under columns"),
        ("source: x\ncolumns: {symbol: []}\ncarry: {symbol: name}", "needs records"),
        ("source: x\ncolumns: {symbol: []}\nfull_export: MAYBE", "MAYBE"),
    ],
)
def test_malformed_profiles_are_told(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigFault, match=words):
        load_profile("bad", tmp_path)


def test_an_unknown_profile_names_the_known() -> None:
    with pytest.raises(ConfigFault, match="sample"):
        load_profile("nonesuch")


def test_aliases_of_indices() -> None:
    aliases = load_aliases()
    day = date(2025, 1, 2)
    assert {aliases.canonical(text, day) for text in ("NIFTY50", "Nifty 50", "nifty")} == {"NIFTY"}
    assert aliases.canonical("bank nifty", day) == "BANKNIFTY"
    assert aliases.is_index("BANKNIFTY")
    assert not aliases.is_index("TCS")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("@a", "'@a"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("-2+3", "'-2+3"),
        ("-5.25", "-5.25"),
        ("+7", "+7"),
        ("BUY", "BUY"),
        ("", ""),
    ],
)
def test_cells_a_spreadsheet_would_run_are_marked(text: str, escaped: str) -> None:
    assert escape_cell(text) == escaped
