"""Files of every kind, good and bad, without a database."""

import gzip
import json
import resource
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.uploads import UploadFault, UploadLimits
from adapters.uploads.readers import BadRow, Row, UploadFormat, UploadReader
from propdesk.intake import RejectReason, SourceProfile

LIMITS = UploadLimits(rows_max=1_000, bytes_max=10_000_000, gzip_ratio_max=100, field_length_max=4_096)
PROFILE = SourceProfile(
    name="t",
    source="t",
    columns={"advisor_id": ("advisor",), "posted_at": ("time",), "symbol": (), "entry_low": ("price",)},
    required=("advisor_id", "posted_at"),
)
HEADER = "Advisor,Time,symbol,price\n"
LINE = "A1,2025-01-02T09:20:00+05:30,TCS,142.50\n"
FIELDS = {
    "advisor_id": "A1",
    "posted_at": "2025-01-02T09:20:00+05:30",
    "symbol": "TCS",
    "entry_low": "142.50",
}


def read(path: Path, limits: UploadLimits = LIMITS) -> list[Row | BadRow]:
    return list(UploadReader(path, PROFILE, limits))


def write(tmp_path: Path, content: bytes | str, name: str = "f.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def fault(path: Path, limits: UploadLimits = LIMITS) -> str:
    with pytest.raises(UploadFault) as caught:
        read(path, limits)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ------------------------------------------------------------------------------------------ formats


def test_csv_is_mapped_by_aliases_without_case(tmp_path: Path) -> None:
    assert read(write(tmp_path, HEADER + LINE)) == [Row(1, FIELDS)]


def test_formats_agree(tmp_path: Path) -> None:
    records = [{"advisor": "A1", "time": FIELDS["posted_at"], "symbol": "TCS", "price": 142.5}]
    table = pa.table({key: [row[key] for row in records] for key in records[0]})
    pq.write_table(table, tmp_path / "f.parquet")
    files = {
        UploadFormat.JSON: write(tmp_path, json.dumps(records), "f.json"),
        UploadFormat.JSON_LINES: write(tmp_path, json.dumps(records[0]) + "\n\n", "f.jsonl"),
        UploadFormat.PARQUET: tmp_path / "f.parquet",
    }
    for kind, path in files.items():
        assert UploadReader(path, PROFILE, LIMITS).format is kind
        assert read(path) == [Row(1, {**FIELDS, "entry_low": "142.5"})]
        packed = write(tmp_path, gzip.compress(path.read_bytes()), path.name + ".gz")
        assert read(packed) == read(path)


def test_json_numbers_stay_text(tmp_path: Path) -> None:
    text = '[{"advisor": 7, "time": "x", "price": 1e400}, {"advisor": null, "price": NaN}, {"price": 0.10}]'
    prices = [
        row.fields["entry_low"] for row in read(write(tmp_path, text, "f.json")) if isinstance(row, Row)
    ]
    assert prices == ["1e400", "NaN", "0.10"]


def test_a_json_array_larger_than_a_block_is_streamed(tmp_path: Path) -> None:
    records = [{"advisor": f"A{i}", "time": "t" * 600} for i in range(900)]
    rows = read(write(tmp_path, json.dumps(records, indent=1), "f.json"))
    assert [row.number for row in rows] == list(range(1, 901))
    assert isinstance(rows[-1], Row)
    assert rows[-1].fields["advisor_id"] == "A899"


def test_parquet_stamps_become_text(tmp_path: Path) -> None:
    aware = pa.array([1_735_790_400_000_000_123], pa.timestamp("ns", tz="UTC"))
    naive = pa.array([1_735_790_400_000_000], pa.timestamp("us"))
    for column, expected in ((aware, "2025-01-02T04:00:00+00:00"), (naive, "2025-01-02 04:00:00")):
        pq.write_table(pa.table({"advisor": ["A1"], "time": column}), tmp_path / "f.parquet")
        row = read(tmp_path / "f.parquet")[0]
        assert isinstance(row, Row)
        assert row.fields["posted_at"] == expected


# ---------------------------------------------------------------------------------------- encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str) -> None:
    text = (HEADER + LINE.replace("A1", "Café")).replace("\n", "\r\n")
    assert read(write(tmp_path, text.encode(encoding))) == [Row(1, {**FIELDS, "advisor_id": "Café"})]


def test_one_windows_line_in_a_utf8_file(tmp_path: Path) -> None:
    content = HEADER.encode() + LINE.replace("A1", "É").encode() + LINE.replace("A1", "é").encode("cp1252")
    assert [row.fields["advisor_id"] for row in read(write(tmp_path, content)) if isinstance(row, Row)] == [
        "É",
        "é",
    ]


def test_embedded_newlines_commas_and_quotes(tmp_path: Path) -> None:
    rows = read(write(tmp_path, HEADER + LINE.replace("TCS", '"a\nb,""c"""') + "\n" + LINE))
    assert [row.fields["symbol"] for row in rows if isinstance(row, Row)] == ['a\nb,"c"', "TCS"]


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@x"])
def test_formula_cells_are_text(tmp_path: Path, start: str) -> None:
    row = read(write(tmp_path, HEADER + LINE.replace("TCS", start)))[0]
    assert isinstance(row, Row)
    assert row.fields["symbol"] == start


# ------------------------------------------------------------------------------------------ bad rows


def test_ragged_rows_are_told_one_by_one(tmp_path: Path) -> None:
    rows = read(write(tmp_path, HEADER + "A1,x\n" + LINE + "A1,x,y,1,2\n"))
    assert [type(row) for row in rows] == [BadRow, Row, BadRow]
    assert [row.reason for row in rows if isinstance(row, BadRow)] == [RejectReason.RAGGED_ROW] * 2
    assert [row.number for row in rows] == [1, 2, 3]


def test_a_broken_quote_costs_one_row(tmp_path: Path) -> None:
    rows = read(write(tmp_path, HEADER + 'A1,"x"y,TCS,1\n' + LINE))
    assert isinstance(rows[0], BadRow)
    assert rows[0].reason is RejectReason.MALFORMED_ROW
    assert rows[1] == Row(2, FIELDS)


def test_a_quote_never_closed_ends_the_file(tmp_path: Path) -> None:
    assert "never closed" in fault(write(tmp_path, HEADER + LINE + 'A1,"x,TCS,1\n' + LINE))


def test_a_broken_json_line_costs_one_row(tmp_path: Path) -> None:
    rows = read(write(tmp_path, '{"advisor": 1, "time": 2}\n{"advisor": \n[1]\n', "f.jsonl"))
    assert [type(row) for row in rows] == [Row, BadRow, BadRow]


def test_nested_values_cost_one_row(tmp_path: Path) -> None:
    rows = read(write(tmp_path, '[{"advisor": {"a": 1}, "time": "x"}, {"advisor": 1, "time": 2}]', "f.json"))
    assert [type(row) for row in rows] == [BadRow, Row]


@pytest.mark.parametrize(
    "line",
    [
        '{"advisor": "A1", "time": "x", "price": 1, "price": 2}',
        '{"advisor": "A1", "time": "x", "price": 1, "Entry Low": 2}',
    ],
)
def test_a_field_named_twice_costs_the_row(tmp_path: Path, line: str) -> None:
    rows = read(write(tmp_path, '{"advisor": "A1", "time": "x"}\n' + line + "\n", "f.jsonl"))
    assert [type(row) for row in rows] == [Row, BadRow]
    array = read(write(tmp_path, '[{"advisor": "A1", "time": "x"}, ' + line + "]", "f.json"))
    assert [type(row) for row in array] == [Row, BadRow]


# -------------------------------------------------------------------------------- an object around a list

CHAT = SourceProfile(
    name="chat",
    source="chat",
    columns={"text": (), "posted_at": ("date",), "advisor_id": ("from_id",), "advisor_name": ()},
    required=("text", "posted_at"),
    records="messages",
    carry={"advisor_id": "id", "advisor_name": "name"},
    skip={"type": ("service",)},
)


def chat(tmp_path: Path, text: str) -> list[Row | BadRow]:
    return list(UploadReader(write(tmp_path, text, "result.json"), CHAT, LIMITS))


def test_messages_of_an_exported_chat(tmp_path: Path) -> None:
    messages = [
        {"id": 1, "type": "service", "date": "d"},
        {"id": 2, "type": "message", "date": "d", "text": "BUY TCS"},
        {"id": 3, "date": "d", "from_id": "c9", "text": ["BUY ", {"type": "bold", "text": "INFY"}, " AT 1"]},
        {"id": 4, "date": "d", "text": [{"type": "bold"}]},
    ]
    text = json.dumps(
        {"name": "Calls", "about": {"x": [1]}, "id": 77, "messages": messages, "left": []}, indent=1
    )
    rows = chat(tmp_path, text)
    assert rows[:2] == [
        Row(1, {"posted_at": "d", "text": "BUY TCS", "advisor_id": "77", "advisor_name": "Calls"}),
        Row(2, {"posted_at": "d", "advisor_id": "c9", "text": "BUY INFY AT 1", "advisor_name": "Calls"}),
    ]
    assert isinstance(rows[2], BadRow)


def test_the_list_is_streamed_though_it_stands_inside_an_object(tmp_path: Path) -> None:
    messages = [{"id": n, "date": "d", "text": "x" * 700} for n in range(900)]
    assert len(chat(tmp_path, json.dumps({"id": 1, "messages": messages}))) == 900


def test_the_same_profile_reads_a_bare_list(tmp_path: Path) -> None:
    assert chat(tmp_path, '[{"date": "d", "text": "BUY TCS"}]') == [
        Row(1, {"posted_at": "d", "text": "BUY TCS"})
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"messages": [{"text": "x", "date": "d"}]', "cut off"),
        ('{"messages": [{"text": "x", "date": "d"}]} x', "something stands after"),
        ('{"messages": [1, 2', "cut off"),
        ('{"id": 1, messages: []}', "no JSON object|no record|no rows"),
        ('{"messages": []}', "no rows"),
    ],
)
def test_a_broken_chat_is_refused_whole(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UploadFault, match=words):
        chat(tmp_path, text)


# ----------------------------------------------------------------------------------------- bad files


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (HEADER.encode(), "no rows"),
        (b"\x00\x01\x02\x03" * 100, "binary"),
        (b"PK\x03\x04rest", "Excel"),
        (b"%PDF-1.7", "PDF"),
        (b"\xff\xfe" + HEADER.encode("utf-16-le"), "UTF-16"),
        (gzip.compress(b"", mtime=0), "empty"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in fault(write(tmp_path, content))


def test_a_wrong_column_is_named_with_what_is_accepted(tmp_path: Path) -> None:
    message = fault(write(tmp_path, HEADER.replace("Time", "When") + LINE))
    assert "posted_at (accepted: posted_at, time)" in message
    assert "'When'" in message


def test_duplicate_headers_are_refused(tmp_path: Path) -> None:
    assert "two columns hold symbol" in fault(write(tmp_path, "advisor,time,symbol,Symbol \na,b,c,d\n"))


def test_json_without_a_required_field(tmp_path: Path) -> None:
    assert "posted_at" in fault(write(tmp_path, '[{"advisor": 1}]', "f.json"))


@pytest.mark.parametrize(
    "text", ['[{"advisor": 1, "time": 2}', '[{"advisor": 1, "time": 2},', "[", '[{"a": tru']
)
def test_a_cut_off_json_array(tmp_path: Path, text: str) -> None:
    message = fault(write(tmp_path, text, "f.json"))
    assert "cut off" in message or "no JSON" in message


@pytest.mark.parametrize(
    "text", ['[{"advisor":1,"time":2}] x', '[{"advisor":1,"time":2} {"advisor":1}]', "[,]"]
)
def test_what_is_no_json_array(tmp_path: Path, text: str) -> None:
    fault(write(tmp_path, text, "f.json"))


def test_deep_nesting_is_no_crash(tmp_path: Path) -> None:
    assert "nested" in fault(write(tmp_path, "[" * 100_000, "f.json"))


def test_undecodable_text(tmp_path: Path) -> None:
    assert "line 2 is neither" in fault(write(tmp_path, HEADER.encode() + b"\x81\x8d,x,y,1\n"))


def test_a_truncated_gzip(tmp_path: Path) -> None:
    packed = gzip.compress((HEADER + LINE * 500).encode())
    assert "cut off" in fault(write(tmp_path, packed[:-20], "f.csv.gz"))


def test_a_damaged_gzip(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress((HEADER + LINE * 500).encode()))
    packed[30:40] = b"\xff" * 10
    message = fault(write(tmp_path, bytes(packed), "f.csv.gz"))
    assert "damaged" in message or "cut off" in message


def test_gzip_members_read_as_one(tmp_path: Path) -> None:
    packed = gzip.compress(HEADER.encode()) + gzip.compress(LINE.encode()) + b"\0" * 8
    assert read(write(tmp_path, packed, "f.csv.gz")) == [Row(1, FIELDS)]


def test_a_bomb_is_refused_long_before_it_is_unpacked(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"a,b,c,d\n" * (1 << 17)
    packed = b"".join(packer.compress(block) for _ in range(200)) + packer.flush()
    path = write(tmp_path, packed, "bomb.csv.gz")
    assert len(packed) < 2_000_000  # 200 MB once unpacked
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limits = UploadLimits(rows_max=10**9, bytes_max=10**9, gzip_ratio_max=100, field_length_max=4_096)
    profile = SourceProfile(name="t", source="t", columns={"symbol": ("a",)}, required=("symbol",))
    with pytest.raises(UploadFault, match="bomb"):
        list(UploadReader(path, profile, limits))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64_000  # kilobytes


def test_too_many_bytes_and_rows(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + LINE * 50)
    assert "more than 1,000 bytes" in fault(path, UploadLimits(1_000, 1_000, 100, 4_096))
    assert "more than 49 rows" in fault(path, UploadLimits(49, 10_000, 100, 4_096))


def test_a_line_without_end(tmp_path: Path) -> None:
    assert "line 2 is longer" in fault(write(tmp_path, HEADER + "x" * 1_100_000))


def test_a_broken_parquet_file(tmp_path: Path) -> None:
    assert "no readable Parquet" in fault(write(tmp_path, b"PAR1" + b"x" * 100 + b"PAR1", "f.parquet"))


def test_a_missing_file(tmp_path: Path) -> None:
    assert "cannot be opened" in fault(tmp_path / "absent.csv")


def test_a_full_disk_while_unpacking_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    column = rng.integers(0, 1 << 60, 40_000).astype(str)
    pq.write_table(pa.table({"advisor": column, "time": column}), tmp_path / "f.parquet")
    packed = write(tmp_path, gzip.compress((tmp_path / "f.parquet").read_bytes()), "f.parquet.gz")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        message = fault(packed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "no room" in message
    assert list(scratch.iterdir()) == []
