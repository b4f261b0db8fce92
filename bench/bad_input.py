"""Hostile files and cells against the intake: ``python -m bench.bad_input [--files N] [--cells N] [--seed S]``.

Every bad cell stands in a row that is good but for it, every file is broken in a way its maker knows, so that what
must be refused is known by construction and not by the code under test. Good rows stand among them: whoever
refuses everything fails as well. Prints what was tried and, per kind, what was wrong; exits 1 if anything was.
"""

import argparse
import csv
import gzip
import io
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.calendar import load_calendar
from adapters.db.repos.uploads import IncomingRow, incoming_table
from adapters.uploads import UploadFault, UploadLimits, load_profile
from adapters.uploads.blocks import Block
from adapters.uploads.ingest import Sorter
from adapters.uploads.readers import UploadReader
from bench.machine import machine
from propdesk.core.clock import to_ns
from propdesk.intake import DerivativeListings, IntakeTimes, LandedRecord, RecordKind, Rejection, record_of

FILES = 2_500
CELLS = 12_000
SEED = 7
NOW_NS = to_ns(datetime(2025, 7, 1, 8, 0, tzinfo=UTC))
LIMITS = UploadLimits(rows_max=100_000, bytes_max=20_000_000, gzip_ratio_max=100, field_length_max=4_096)
_GOOD_EVERY = 5

Rng = np.random.Generator
Fields = dict[str, str]


@dataclass
class Outcome:
    """Counts of one run; ``faults`` names each thing that was wrong."""

    files: int = 0
    cells: int = 0
    rows: int = 0
    accepted: int = 0
    quarantined: int = 0
    refused_files: int = 0
    faults: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class BadFile:
    """A file with what must become of it: refused whole, or so many rows of which ``bad`` are refused."""

    kind: str
    name: str
    content: bytes
    must_fail: bool
    rows: int = 0
    bad: int = 0


# ------------------------------------------------------------------------------------------- a good row


def good_row(number: int) -> Fields:
    """Give a row that is taken."""
    return {
        "kind": "SIGNAL",
        "source_message_id": f"m{number}",
        "advisor_id": "A1",
        "advisor_name": "NA",
        "sebi_reg_no": "INH000001234",
        "posted_at": f"2025-01-02T{9 + number % 6:02d}:{20 + number % 40}:{number % 60:02d}+05:30",
        "category": "NSE_EQ",
        "symbol": "NA",
        "expiry": "",
        "strike": "",
        "option_type": "",
        "side": "BUY",
        "entry_type": "LIMIT",
        "entry_low": "101.50",
        "entry_high": "101.50",
        "stoploss": "95",
        "targets": "110/120",
        "period": "INTRADAY",
        "followup_kind": "",
        "fraction": "",
    }


def good_option(number: int) -> Fields:
    """Give an option's row that is taken."""
    return good_row(number) | {
        "category": "INDEX_OPT",
        "symbol": "NIFTY",
        "expiry": "2025-01-30",
        "strike": "23500",
        "option_type": "CE",
    }


def good_followup(number: int) -> Fields:
    """Give a follow-up's row that is taken."""
    levels = dict.fromkeys(("entry_type", "entry_low", "entry_high", "stoploss", "targets", "period"), "")
    changed = {"kind": "FOLLOWUP", "followup_kind": "PARTIAL_EXIT", "fraction": "0.5"}
    return good_row(number) | levels | changed


# ------------------------------------------------------------------------------------------- bad cells

_NOT_PRICES = (
    "NaN", "nan", "inf", "-inf", "+inf", "Infinity", "-Infinity", "1e400", "1e-400", "1e308", "1e5", "-5", "-0",
    "0", "0.0", "0.00", "-0.0", "0x10", "0b1", "1_000", "１２３", "٣٤٥", "१२३", "5" * 5_000 + ".5", "9" * 400,
    "10000000.01", "99999999999", "12.3.4", "12,5", "1 000", "₹100", "100/-", "Rs 100", "=1+1", "+100", "-100",
    "@100", "--5", "1e", "e5", ".", "1..2", "1,23,45,6", ",100", "100,", "abc", "None", "null", "true", "#N/A",
    "#REF!", "$1", "1'000", "1\u00a0000", "½", "²", "∞", "100\u202e", "\u200b100", "100\u0660", "0.001", "0.0049",
    "100%", "1/2", "1:2", "(100)", "100-", "123,456", "1,234,567",
)  # fmt: skip
_NOT_TIMES = (
    "", "yesterday", "now", "2025-02-29T10:00:00+05:30", "2025-13-01T10:00:00+05:30", "2025-00-10T10:00:00+05:30",
    "2025-01-32T10:00:00+05:30", "2025-01-02T24:00:00+05:30", "2025-01-02T09:61:00+05:30",
    "2025-01-02T09:20:61+05:30", "02/01/2025 09:20", "01-02-2025 09:20:00", "1735790400", "1735790400000",
    "1735790400000000000", "2099-01-01T10:00:00+05:30", "2026-01-02T10:00:00+05:30", "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2025-01-02", "10:20:00", "2025-01-02T09:20:00+25:00",
    "20250102T092000", "２０２５-01-02T09:20:00+05:30", "2025-01-02T09:20:00 IST", "2025-W01-4T09:20:00",
    "2025-01-02T09:20:00+05:30Z", "45659.389", "Jan 2 2025", "2025-1-2 9:20", "2025-01-02T9:20:00+05:30", "NaN",
    "2025-01-02T09:20:00-", "+2025-01-02T09:20:00Z", "2025-01-02T09:20:00.1234567890Z", "null", "-1",
    "2025-01-02\u202f09:20:00", "2015-01-02T10:00:00+05:30",
)  # fmt: skip
_NOT_SYMBOLS = (
    "", "ТСS", "TCS\u202e", "\u202eTCS", "T\x00CS", "ＴＣＳ", "=TCS", "+TCS", "@TCS", "-TCS", "TCS;DROP", "T" * 60,
    "TCS🚀", "TCS\u200b", "TCS\u0007", "<script>", "TCS'", 'TC"S', "TC\\S", "TCS,INFY", "TCS/INFY", "ＴCS", "TСS",
    "#N/A", "TCS|", "T*S", "TCS%", "()", "é", "ß", "İNFY", "ﬁ", "\ufeffTCS",
)  # fmt: skip
_NOT_WORDS = (
    *(
        "BUYY",
        "B",
        "0",
        "=BUY",
        "ＢＵＹ",
        "ВUY",
        "BUY/SELL",
        "true",
        "NaN",
        "\u202eBUY",
        "LONG;",
        "BU Y",
        "-1",
    ),
    *("ſELL", "ﬁ", "ß", "ıNTRADAY"),
)
_CONTROL = ("a\x00b", "\x01", "a\x1fb", "a\x1eb", "\x7f", "a\x08")

_BAD_CELLS: dict[str, tuple[tuple[str, ...], Callable[[int], Fields]]] = {
    "entry_low": (_NOT_PRICES, good_row),
    "stoploss": ((*_NOT_PRICES, "101.50", "102", "200", "9999999"), good_row),
    "strike": ((*_NOT_PRICES, ""), good_option),
    "targets": (
        (*_NOT_PRICES, "90", "101.50", "120/110", "110/110", "110//120", "110/abc", "110/", "/110", "110,120", "110 120", "/".join(str(n) for n in range(110, 121)), "110/1e400", "110-120", "110/-120", "110/120/90"),
        good_row,
    ),
    "posted_at": (_NOT_TIMES, good_row),
    "symbol": (_NOT_SYMBOLS, good_row),
    "side": ((*_NOT_WORDS, ""), good_row),
    "category": ((*_NOT_WORDS, "", "EQ", "NSE-EQ", "NSE EQ", "OPTIDX"), good_row),
    "option_type": ((*_NOT_WORDS, "", "CALL", "C", "CEPE"), good_option),
    "expiry": (
        ("2025-02-30", "30-01-2025", "tomorrow", "2025-13-01", "1735790400", "２０２５-01-30", "30JAN", "NaN", "-1",
         "1999-12-31", "2100-01-01", "CURRENT_DAILY", "MONTH-13", "DAY-00-10", "2025-01-30T00:00:00", "0"),
        good_option,
    ),
    "period": ((*_NOT_WORDS, "FOREVER", "DAY"), good_row),
    "entry_type": ((*_NOT_WORDS, "RANGE2", "SL"), good_row),
    "sebi_reg_no": (
        ("INH12345678", "INH0000012345", "INZ000001234", "INH00000123４", "INH 000001234", "000001234", "NaN", "=INH"),
        good_row,
    ),
    "kind": (("NEWS", "SIGNALS", "0", "ＳIGNAL", "SIGNAL;", "=SIGNAL", "null"), good_row),
    "advisor_id": (("", "x" * 4_097), good_row),
    "advisor_name": ((*_CONTROL, "y" * 5000), good_row),
    "fraction": (
        ("2", "-0.5", "150%", "NaN", "0", "0%", "1e-3", "half", "", "½", "０.5", "0x1", "1.1", "100.1%"),
        good_followup,
    ),
    "followup_kind": ((*_NOT_WORDS, "", "EXITT", "CLOSE"), good_followup),
}  # fmt: skip
"""Per field: values of which none may be taken, and the row in which they stand."""

_GOOD_CELLS: dict[str, tuple[str, ...]] = {
    "entry_low": ("101.50", "101.5", " 101.50 ", "101.500", "101.5000"),
    "symbol": ("NA", "M&M", "BAJAJ-AUTO", "nifty 50", " TCS ", "NULL", "NAN", "INF", "TRUE", "E1"),
    "advisor_name": ("=cmd|' /C calc'!A0", "+1", "-1", "@x", "Näïve", "नाम", "a\nb", 'say "hi"', "a,b", "O'Neil", "NaN"),
    "side": ("BUY", "buy", " Buy "),
    "posted_at": ("2025-01-02T09:20:00+05:30", "2025-01-02 09:20:00", "2025-01-02T03:50:00Z", "2024-02-29T10:00:00+05:30"),
    "targets": ("", "110", "110 / 120", "110|120", "110;120", "1,100/1,200", "24,500"),
    "stoploss": ("", "95", "95.05", "1"),
}  # fmt: skip
"""Values that look odd and must be taken: formulas as text, NA as a ticker, odd but plain spellings."""


def bad_cells(rng: Rng, count: int) -> Iterator[tuple[str, str, Fields]]:
    """Give fields, bad values and the rows they stand in: each listed value once, then random ones."""
    listed = [(name, value, maker) for name, (values, maker) in _BAD_CELLS.items() for value in values]
    for number in range(count):
        if number < len(listed):
            name, value, maker = listed[number]
        else:
            name = str(rng.choice(sorted(_BAD_CELLS)))
            values, maker = _BAD_CELLS[name]
            value = _vary(rng, name, values)
        yield name, value, maker(number) | {name: value}


def _vary(rng: Rng, name: str, values: tuple[str, ...]) -> str:
    """Make a value that is bad for the same reason as a listed one."""
    base = values[int(rng.integers(len(values)))]
    if name in ("entry_low", "stoploss", "strike", "targets"):
        digits = str(rng.integers(100, 99_999))
        wrong = (
            "e{}",
            "{}e9",
            "-{}",
            "+{}",
            "{}_0",
            "0x{}",
            "{}.5.5",
            "{} .5",
            "₹{}",
            "{}x",
            "={}",
            "{}\u200b",
            "{},5",
        )
        return str(rng.choice(wrong)).replace("{}", digits)
    if name == "posted_at":
        year, month = rng.integers(2031, 2099), rng.integers(1, 13)
        return str(
            rng.choice(
                [f"{year}-{month:02d}-10T10:00:00Z", f"10.{month}.{year}", f"{year}{month:02d}10", base]
            )
        )
    if name in ("advisor_id", "advisor_name"):
        return base or "x" * int(rng.integers(4_097, 9_000))
    odd = str(rng.choice(["\u202e", "\x00", "Ж", "🚀", "\x1b", "｜", "\u0660"]))
    place = int(rng.integers(len(base) + 1))
    return base[:place] + odd + base[place:]


# ------------------------------------------------------------------------------------------- bad files


def _csv(rows: list[Fields], *, delimiter: str = ",", end: str = "\n") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerow(list(rows[0]))
    writer.writerows([list(row.values()) for row in rows])
    return out.getvalue()


def bad_files(rng: Rng, count: int) -> Iterator[BadFile]:
    """Give broken files, one kind after the other."""
    makers = (
        _binary, _cut_gzip, _damaged_gzip, _other_kind, _utf16, _headers, _quotes, _ragged, _cut_json, _odd_json,
        _json_lines, _cut_parquet, _bytes_inside, _repeated_keys, _odd_parquet, _telegram,
    )  # fmt: skip
    for number in range(count):
        yield makers[number % len(makers)](rng, number)


def _some_rows(rng: Rng) -> list[Fields]:
    return [good_row(number) for number in range(int(rng.integers(2, 12)))]


def _binary(rng: Rng, number: int) -> BadFile:
    kinds = (
        b"",
        b" \n\t\n",
        bytes(rng.integers(0, 256, 400, dtype=np.uint8)),
        b"\0" * 100,
        bytes(range(1, 32)) * 5,
    )
    return BadFile("binary", f"f{number}.csv", kinds[number // 16 % len(kinds)], True)


def _cut_gzip(rng: Rng, number: int) -> BadFile:
    packed = gzip.compress(_csv(_some_rows(rng)).encode(), mtime=0)
    return BadFile("cut gzip", f"f{number}.csv.gz", packed[: int(rng.integers(3, len(packed) - 1))], True)


def _damaged_gzip(rng: Rng, number: int) -> BadFile:
    packed = bytearray(gzip.compress(_csv(_some_rows(rng)).encode(), mtime=0))
    if number % 3 == 0:
        return BadFile("gzip twice", f"f{number}.csv.gz", gzip.compress(bytes(packed), mtime=0), True)
    # The checksum at the end finds any change of the packed bytes.
    place = int(rng.integers(len(packed) - 8, len(packed)))
    packed[place] ^= 1 << int(rng.integers(8))
    return BadFile("damaged gzip", f"f{number}.csv.gz", bytes(packed), True)


def _other_kind(rng: Rng, number: int) -> BadFile:
    magics = (
        b"PK\x03\x04",
        b"\xd0\xcf\x11\xe0",
        b"%PDF-1.7\n",
        b"BZh9",
        b"\xfd7zXZ\0",
        b"\x28\xb5\x2f\xfd",
        b"PAR1",
    )
    magic = magics[number // 16 % len(magics)]
    return BadFile("other kind", f"f{number}.csv", magic + rng.bytes(int(rng.integers(10, 300))), True)


def _utf16(rng: Rng, number: int) -> BadFile:
    codec = ("utf-16", "utf-16-le", "utf-16-be", "utf-32")[number // 16 % 4]
    return BadFile("utf-16", f"f{number}.csv", _csv(_some_rows(rng)).encode(codec), True)


def _headers(rng: Rng, number: int) -> BadFile:
    text = _csv(_some_rows(rng))
    head, _, body = text.partition("\n")
    wrong = (
        head.replace("posted_at", "when") + "\n" + body,
        head.replace("stoploss", "Symbol ") + "\n" + body,
        head + "\n",
        text.replace(",", ";"),
        head.replace("advisor_id", "") + "\n" + body,
        body,
        head.replace(",", "\t") + "\n" + body,
    )
    return BadFile("headers", f"f{number}.csv", wrong[number // 16 % len(wrong)].encode(), True)


def _quotes(rng: Rng, number: int) -> BadFile:
    return BadFile("open quote", f"f{number}.csv", (_csv(_some_rows(rng)) + 'SIGNAL,"m9,A1\n').encode(), True)


def _ragged(rng: Rng, number: int) -> BadFile:
    rows = _some_rows(rng)
    lines = _csv(rows, end=("\n", "\r\n")[number % 2]).splitlines(keepends=True)
    bad = 0
    for place in range(1, len(lines)):
        choice = int(rng.integers(4))
        if choice == 0:
            lines[place], bad = "extra," + lines[place], bad + 1
        elif choice == 1:
            lines[place], bad = lines[place].split(",", 1)[1], bad + 1
        elif choice == 2:
            lines[place], bad = '"x"y,' + lines[place], bad + 1
    return BadFile("ragged", f"f{number}.csv", "".join(lines).encode(), False, len(rows), bad)


def _cut_json(rng: Rng, number: int) -> BadFile:
    text = json.dumps(_some_rows(rng))
    return BadFile("cut JSON", f"f{number}.json", text[: int(rng.integers(1, len(text) - 1))].encode(), True)


def _odd_json(rng: Rng, number: int) -> BadFile:
    rows = _some_rows(rng)
    odd: list[object] = [1, None, "text", [], {"advisor_id": {"a": 1}}, {}, {"posted_at": [[1]]}, True, 1e308]
    picked = [odd[int(place)] for place in rng.integers(0, len(odd), int(rng.integers(1, 6)))]
    mixed: list[object] = [*rows, *picked]
    order = rng.permutation(len(mixed))
    text = json.dumps([mixed[int(place)] for place in order])
    if number % 5 == 0:
        return BadFile("JSON and more", f"f{number}.json", (text + " x").encode(), True)
    if number % 7 == 0:
        return BadFile("deep JSON", f"f{number}.json", b"[" * 50_000, True)
    return BadFile("odd JSON", f"f{number}.json", text.encode(), False, len(mixed), len(picked))


def _json_lines(rng: Rng, number: int) -> BadFile:
    rows = [json.dumps(row) for row in _some_rows(rng)]
    broken = ["{", "[1]", "nul", '{"advisor_id": 1,}', "{'a': 1}", "\x00", '{"a": 1} {"a": 2}', "NaN", '"x"']
    picked = [broken[int(place)] for place in rng.integers(0, len(broken), int(rng.integers(1, 6)))]
    text = "\n".join([rows[0], *picked, *rows[1:]])
    return BadFile(
        "JSON lines", f"f{number}.jsonl", text.encode(), False, len(rows) + len(picked), len(picked)
    )


def _parquet(rows: list[Fields]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({name: [row[name] for row in rows] for name in rows[0]}), out)
    return out.getvalue()


def _cut_parquet(rng: Rng, number: int) -> BadFile:
    whole = _parquet(_some_rows(rng))
    return BadFile("cut Parquet", f"f{number}.parquet", whole[: int(rng.integers(5, len(whole) - 1))], True)


def _odd_parquet(rng: Rng, number: int) -> BadFile:
    rows = _some_rows(rng)
    prices = [float("nan"), float("inf"), -1.0, 0.0, 1e308, 101.5]
    picked = [prices[int(place)] for place in rng.integers(0, len(prices), len(rows))]
    table = {name: [row[name] for row in rows] for name in rows[0]}
    out = io.BytesIO()
    pq.write_table(pa.table(table | {"entry_low": pa.array(picked, pa.float64())}), out)
    bad = sum(price != 101.5 for price in picked)
    return BadFile("odd Parquet", f"f{number}.parquet", out.getvalue(), False, len(rows), bad)


def _bytes_inside(rng: Rng, number: int) -> BadFile:
    rows = _some_rows(rng)
    lines = _csv(rows).encode().split(b"\n")
    place = int(rng.integers(1, len(rows) + 1))
    if number % 2:
        lines[place] = lines[place].replace(b"NA", b"\x81\x8d")  # neither UTF-8 nor cp1252
        return BadFile("undecodable", f"f{number}.csv", b"\n".join(lines), True)
    lines[place] = lines[place].replace(b",NA,", b",N\x00A,")
    return BadFile("NUL inside", f"f{number}.csv", b"\n".join(lines), False, len(rows), 1)


def _repeated_keys(rng: Rng, number: int) -> BadFile:
    rows = [json.dumps(row) for row in _some_rows(rng)]
    twice = ('{"side": "SELL", ' + rows[0][1:], '{"Entry Low": "55", ' + rows[0][1:])[number // 16 % 2]
    return BadFile(
        "repeated keys", f"f{number}.jsonl", "\n".join([*rows, twice]).encode(), False, len(rows) + 1, 1
    )


def _telegram(rng: Rng, number: int) -> BadFile:
    messages: list[object] = [
        {"id": place, "type": "message", "date": f"2025-01-02T09:{20 + place}:00", "text": text}
        for place, text in enumerate(
            ("BUY TCS ABOVE 142 SL 127 TGT 171/200", "hello", "BUY", ["BUY ", {"x": 1}])
        )
    ]
    messages.append({"id": 9, "type": "service", "date": "x"})
    text = json.dumps({"name": "Calls", "id": 1, "messages": messages})
    if number // 16 % 2:
        return BadFile(
            "cut Telegram", f"t{number}.json", text[: int(rng.integers(60, len(text) - 1))].encode(), True
        )
    return BadFile("Telegram", f"t{number}.json", text.encode(), False, 4, 3)


# ------------------------------------------------------------------------------------------- the trial


class Trial:
    """Takes files through reader, landing and validation and keeps the count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._calendar = load_calendar()
        self._times = IntakeTimes(NOW_NS)
        self._profiles = {name: load_profile(name) for name in ("sample", "telegram_desktop")}
        self.outcome = Outcome()

    def run_file(self, file: BadFile) -> None:
        """Try one file."""
        self.outcome.files += 1
        self.outcome.kinds[file.kind] += 1
        profile = "telegram_desktop" if "Telegram" in file.kind else "sample"
        path = self._folder / file.name
        path.write_bytes(file.content)
        try:
            accepted, quarantined = self._take(path, profile)
        except UploadFault as fault:
            self.outcome.refused_files += 1
            if not file.must_fail or "\n" in str(fault):
                self._wrong(f"{file.kind} {file.name}: refused whole: {fault}")
            return
        except Exception as crash:  # a crash is what is looked for
            self._wrong(f"{file.kind} {file.name}: crash {type(crash).__name__}: {crash}")
            return
        finally:
            path.unlink()
        if file.must_fail:
            self._wrong(f"{file.kind} {file.name}: was taken with {accepted} rows")
        elif (accepted, quarantined) != (file.rows - file.bad, file.bad):
            self._wrong(
                f"{file.kind} {file.name}: {accepted} + {quarantined}, not {file.rows - file.bad} + {file.bad}"
            )

    def run_cells(self, cells: list[tuple[str, str, Fields]]) -> None:
        """Try rows with one bad cell each, good ones between them, as one JSON lines file and one CSV."""
        self.outcome.cells += len(cells)
        for number, (name, value, row) in enumerate(cells):
            records = [row, good_row(10**6 + number)] if number % _GOOD_EVERY == 0 else [row]
            good = len(records) - 1
            for suffix, text in ((".jsonl", "\n".join(map(json.dumps, records))), (".csv", _csv(records))):
                if suffix == ".csv" and number % 7:
                    continue  # the fields arrive the same; a part of them proves it
                path = self._folder / f"cells{suffix}"
                path.write_text(text, encoding="utf-8", newline="")
                what = f"cell {name} = {value[:60]!r} ({suffix})"
                try:
                    accepted, quarantined = self._take(path, "sample")
                except Exception as crash:  # a crash is what is looked for
                    self._wrong(f"{what}: {type(crash).__name__}: {crash}")
                    continue
                if (accepted, quarantined) != (good, 1):
                    self._wrong(f"{what}: {accepted} taken and {quarantined} quarantined of {len(records)}")

    def run_good_cells(self) -> None:
        """Try values that must be taken."""
        for name, values in _GOOD_CELLS.items():
            for number, value in enumerate(values):
                row = good_row(number) | {name: value}
                if name == "targets" and value == "24,500":
                    row |= {"entry_low": "24000", "entry_high": "24000", "stoploss": "23000"}
                if name == "targets" and value.startswith("1,"):
                    row |= {"entry_low": "1000", "entry_high": "1000", "stoploss": "900"}
                path = self._folder / "good.csv"
                path.write_text(_csv([row]), encoding="utf-8", newline="")
                if self._take(path, "sample") != (1, 0):
                    self._wrong(f"good cell {name} = {value!r} was refused")

    def _take(self, path: Path, profile: str) -> tuple[int, int]:
        """Count the rows that would become signals and those that would be quarantined, by step 1 or 2."""
        sorter = Sorter(
            self._profiles[profile],
            self._calendar,
            self._times,
            first_day=date(2021, 3, 26),
            listings=DerivativeListings(),
            field_length_max=LIMITS.field_length_max,
        )
        accepted = quarantined = 0
        self._compare(path, profile, sorter)
        for outcome in UploadReader(path, self._profiles[profile], LIMITS):
            for one in sorter.sort(outcome):
                is_taken = isinstance(one, IncomingRow) and not isinstance(_typed(one), Rejection)
                accepted, quarantined = accepted + is_taken, quarantined + (not is_taken)
                if (
                    not is_taken
                    and not isinstance(one, IncomingRow)
                    and not (one.message and one.reason_codes)
                ):
                    self._wrong(f"{path.name}: row {one.row_number} was refused without a reason")
        self.outcome.rows += accepted + quarantined
        self.outcome.accepted += accepted
        self.outcome.quarantined += quarantined
        return accepted, quarantined

    def _compare(self, path: Path, profile: str, sorter: Sorter) -> None:
        """Take the rows column by column as well: the same must come of them as one by one."""
        if not sorter.is_record_per_row:
            return
        for piece in UploadReader(path, self._profiles[profile], LIMITS).pieces():
            rows = list(piece.rows()) if isinstance(piece, Block) else [piece]
            found = [one for row in rows for one in sorter.sort(row)]
            good = [one for one in found if isinstance(one, IncomingRow)]
            refused = [one for one in found if not isinstance(one, IncomingRow)]
            table, bad = sorter.sort_together(piece if isinstance(piece, Block) else rows)
            if bad != refused or not table.equals(incoming_table(good)):
                self._wrong(f"{path.name}: rows from {rows[0].number} are sorted otherwise together")

    def _wrong(self, sentence: str) -> None:
        self.outcome.faults.append(sentence)


def _typed(row: IncomingRow) -> object:
    content = json.loads(row.content_json)
    kind = RecordKind(row.kind)
    landed = LandedRecord(kind, row.record_id, row.content_hash, row.posted_ns, row.received_ns, content)
    return record_of(landed, received_ns=row.received_ns)


def run(files: int, cells: int, seed: int) -> Outcome:
    """Try a seeded corpus.

    Parameters
    ----------
    files, cells : int
        How many.
    seed : int
        The same seed gives the same corpus.
    """
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder))
        for file in bad_files(rng, files):
            trial.run_file(file)
        trial.run_cells(list(bad_cells(rng, cells)))
        trial.run_good_cells()
        return trial.outcome


def main() -> None:
    """Run the corpus and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--cells", type=int, default=CELLS)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    done = run(options.files, options.cells, options.seed)
    lines = [
        machine(),
        f"seed {options.seed}: {done.files:,} bad files, {done.cells:,} bad cells",
        f"files refused whole {done.refused_files:,}; rows {done.rows:,} = accepted {done.accepted:,}"
        f" + quarantined {done.quarantined:,}",
        f"crashes, wrongly taken or wrongly refused: {len(done.faults)}",
        *done.faults[:50],
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(1 if done.faults else 0)


if __name__ == "__main__":
    main()
