"""Coverage-guided fuzzing of the intake's parsers: ``python -m bench.fuzz [--seconds S] [--target NAME]...``.

Each target runs in a process of its own for its share of the time. The engine is atheris (libFuzzer) where
it is installed (extra ``fuzz``, see docs/benchmarks.md), else a loop of our own that keeps every input which
reaches a new line. An exception other than the one promised, a broken promise about the result, an input that
takes longer than a second or memory beyond 512 MB ends a target; its input is printed. Exits 1 then.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from bench.machine import machine
from propdesk.core.invariant import require
from propdesk.core.limits import PRICE_PAISE_MAX

SECONDS = 1_800
RSS_LIMIT_MB = 512
INPUT_SECONDS_MAX = 1.0
INPUT_BYTES_MAX = 4_096
_TRACED = ("propdesk/intake", "adapters/uploads")
_ROOT = Path(__file__).resolve().parents[1]

Target = Callable[[bytes], None]


# --------------------------------------------------------------------------------------------- targets


class _Intake:
    """The parsers under test with their promises; imported late, so that an engine can instrument them."""

    def __init__(self) -> None:
        from adapters.calendar import load_calendar
        from adapters.uploads import UploadLimits, load_profile
        from bench.bad_input import NOW_NS
        from propdesk.intake import IntakeTimes

        names = ("sample", "dhan_export", "telegram_export", "telegram_desktop")
        self.profiles = {name: load_profile(name) for name in names}
        self.limits = UploadLimits(
            rows_max=1_000, bytes_max=1_000_000, gzip_ratio_max=100, field_length_max=4_096
        )
        self.calendar = load_calendar()
        self.times = IntakeTimes(NOW_NS)
        self.latest_ns = NOW_NS + self.times.future_tolerance_ns
        self.folder = Path(tempfile.mkdtemp(prefix="propdesk-fuzz-"))

    def file(self, suffix: str, profile: str) -> Target:
        """Give the target that reads bytes as a file of one kind."""
        from adapters.uploads import UploadFault

        def read(data: bytes) -> None:
            path = self.folder / f"f{suffix}"
            path.write_bytes(data)
            try:
                self._read(path, profile)
            except UploadFault as fault:
                require(bool(str(fault)) and "\n" not in str(fault), "a refusal is one sentence")

        return read

    def _read(self, path: Path, profile: str) -> None:
        from adapters.db.repos.uploads import IncomingRow
        from adapters.uploads.ingest import Sorter
        from adapters.uploads.readers import UploadReader
        from propdesk.intake import DerivativeListings

        sorter = Sorter(
            self.profiles[profile],
            self.calendar,
            self.times,
            first_day=date(2021, 3, 26),
            listings=DerivativeListings(),
            field_length_max=self.limits.field_length_max,
        )
        last = 0
        for outcome in UploadReader(path, self.profiles[profile], self.limits):
            require(outcome.number == last + 1, "rows are numbered without a gap")
            last = outcome.number
            parts = list(sorter.sort(outcome))
            require(bool(parts), "no row vanishes")
            for part in parts:
                if isinstance(part, IncomingRow):
                    require("\x00" not in part.content_json, "what lands can be stored")
                    require(part.posted_ns <= self.latest_ns, "nothing lands from the future")
                else:
                    require(bool(part.reason_codes and part.message), "a refused row has its reason")

    def one_line(self, data: bytes) -> None:
        """Read a message by the one-line parser."""
        from propdesk.intake import parse_calls
        from propdesk.intake.oneline import CONFIDENCE_MIN

        calls = parse_calls(data.decode("utf-8", "replace"), self.profiles["sample"].index_names)
        require(bool(calls), "every message gives at least one entry")
        for call in calls:
            if call is not None:
                require(call.confidence >= CONFIDENCE_MIN - 1e-9, "what is read is read with confidence")
                require(call.fields["side"] in ("BUY", "SELL"), "a call has a side")

    def document(self, data: bytes) -> None:
        """Read JSON as a document of the live source."""
        from propdesk.intake import Rejection, document_to_record
        from propdesk.model.signal import Followup, Signal

        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            return
        if not isinstance(found, dict):
            return
        record = document_to_record(found, received_ns=self.times.ingested_ns)
        require(isinstance(record, Signal | Followup | Rejection), "a document gives a record or a reason")
        if isinstance(record, Signal):
            entry = (record.entry_low_paise, record.entry_high_paise)
            self._check_prices((*entry, record.stoploss_paise, *record.targets_paise))

    def fields(self, data: bytes) -> None:
        """Read text as a price, targets, a share, a moment and a day."""
        from propdesk.intake.fields import parse_date, parse_fraction, parse_price, parse_targets, parse_time

        text = data.decode("utf-8", "replace")
        self._check_prices((parse_price(text), *parse_targets(text)))
        share = parse_fraction(text)
        require(share is None or 0 < share <= 1, "a share lies in (0, 1]")
        profile = self.profiles["dhan_export"]
        moment = parse_time(text, profile.time_formats, profile.offset_minutes)
        require(moment is None or moment > 0, "a moment lies after 1970")
        day = parse_date(text, profile.date_formats)
        require(day is None or 2000 <= day.year < 2100, "a day lies in 2000 to 2100")

    @staticmethod
    def _check_prices(prices: tuple[int | None, ...]) -> None:
        require(
            all(price is None or 0 < price <= PRICE_PAISE_MAX for price in prices), "prices lie in bounds"
        )


def _targets() -> dict[str, tuple[Target, list[bytes]]]:
    """Give every target with its seeds."""
    from bench.bad_input import bad_cells, bad_files, good_followup, good_option, good_row

    rng = np.random.default_rng(7)
    intake = _Intake()
    files = list(bad_files(rng, 160))
    cells = [value.encode("utf-8", "replace")[:200] for _, value, _ in bad_cells(rng, 400)]
    rows = [good_row(1), good_option(2), good_followup(3)]
    lines = [json.dumps(row).encode() for row in rows]
    broker = b"raId,callTime,underlying,buySell,price\nA,02-01-2025 09:20,TCS,B,1\n"
    message = b'{"text": "BUY TCS AT 1", "date": "2025-01-02 09:20:00"}'

    def seeds(*endings: str) -> list[bytes]:
        return [file.content for file in files if file.name.endswith(endings)]

    return {
        "csv": (intake.file(".csv", "sample"), [*seeds(".csv", ".gz"), _header(rows)]),
        "dhan_csv": (intake.file(".csv", "dhan_export"), [broker]),
        "json": (intake.file(".json", "sample"), [*seeds(".json"), b"[" + b",".join(lines) + b"]"]),
        "json_lines": (intake.file(".jsonl", "sample"), [*seeds(".jsonl"), b"\n".join(lines)]),
        "telegram": (intake.file(".json", "telegram_desktop"), seeds(".json")),
        "messages": (intake.file(".jsonl", "telegram_export"), [message]),
        "parquet": (intake.file(".parquet", "sample"), seeds(".parquet")),
        "one_line": (intake.one_line, _CALLS),
        "document": (intake.document, lines),
        "fields": (intake.fields, cells),
    }


_CALLS = [
    b"BUY TCS ABOVE 142 SL 127 TGT 171/200",
    b"FUTURES-BUY INFY ABOVE 607 TGT 611-SL 604",
    b"SELL NIFTY 24000 PE AT CMP",
    b"BUY 2 LOTS OF BANKNIFTY 20TH MAR 48000 CE NEAR 100-110 TARGET 30/70 POINTS SL-0",
    b"hello",
]


def _header(rows: list[dict[str, str]]) -> bytes:
    names = list(rows[0])
    return "\n".join([",".join(names), *(",".join(row[name] for name in names) for row in rows)]).encode()


# ----------------------------------------------------------------------------------------- own engine


class Fuzzer:
    """Keeps inputs that reach new lines of the traced packages and mutates them.

    Parameters
    ----------
    target : callable
        Takes bytes; any exception is a finding.
    seeds : list of bytes
    seed : int
        Of the mutations.
    """

    def __init__(self, target: Target, seeds: list[bytes], seed: int) -> None:
        self._target = target
        self._rng = np.random.default_rng(seed)
        self._lines: set[tuple[int, int]] = set()
        self.corpus: list[bytes] = []
        self.executions = 0
        for data in seeds:
            self._try(data[:INPUT_BYTES_MAX])

    @property
    def count_lines(self) -> int:
        """Lines reached."""
        return len(self._lines)

    def run(self, seconds: float) -> None:
        """Fuzz for so long; raises what the target raises, with the input in a note."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._try(self._mutate())

    def _try(self, data: bytes) -> None:
        before = len(self._lines)
        started = time.monotonic()
        sys.settrace(self._on_call)
        try:
            self._target(data)
        except BaseException as error:
            error.add_note(f"input: {data!r}")
            raise
        finally:
            sys.settrace(None)
        if time.monotonic() - started > 20 * INPUT_SECONDS_MAX:  # tracing costs a factor of twenty
            raise TimeoutError(f"too slow: {data!r}")
        self.executions += 1
        if len(self._lines) > before or not self.corpus:
            self.corpus.append(data)

    def _on_call(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        name = frame.f_code.co_filename
        return self._on_line if any(part in name for part in _TRACED) else None

    def _on_line(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        self._lines.add((id(frame.f_code), frame.f_lineno))
        return self._on_line

    def _mutate(self) -> bytes:
        rng = self._rng
        data = bytearray(self.corpus[int(rng.integers(len(self.corpus)))])
        for _ in range(int(rng.integers(1, 6))):
            place = int(rng.integers(len(data) + 1))
            choice = int(rng.integers(6))
            if choice == 0 and data:
                data[place % len(data)] ^= 1 << int(rng.integers(8))
            elif choice == 1:
                del data[place : place + int(rng.integers(1, 16))]
            elif choice == 2:
                data[place:place] = rng.bytes(int(rng.integers(1, 8)))
            elif choice == 3:
                other = self.corpus[int(rng.integers(len(self.corpus)))]
                begin = int(rng.integers(len(other) + 1))
                data[place:place] = other[begin : begin + int(rng.integers(1, 64))]
            elif choice == 4:
                data[place:place] = _TOKENS[int(rng.integers(len(_TOKENS)))]
            else:
                data[place:place] = data[place : place + int(rng.integers(1, 64))]
        return bytes(data[:INPUT_BYTES_MAX])


_TOKENS = (
    *(
        b'"',
        b",",
        b"\n",
        b"\r\n",
        b"\r",
        b"\0",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"\\",
        b"\\u0000",
        b"\xef\xbb\xbf",
    ),
    *(
        b"1e400",
        b"NaN",
        b"-",
        b"/",
        b"BUY ",
        b"SELL ",
        b" SL ",
        b" TGT ",
        b" ABOVE ",
        b" POINTS",
        b"\xd9\xa3",
    ),
    *(
        b"\xed\xa0\x80",
        b"\x1f\x8b",
        b"2025-02-29",
        b"+05:30",
        b"posted_at",
        b"\xe2\x80\xae",
        b"99999999",
        b".",
        b"null",
    ),
)


def run_own(name: str, seconds: float, seed: int = 7) -> tuple[int, int, int]:
    """Fuzz one target with our own loop.

    Returns
    -------
    (int, int, int)
        Executions, inputs kept, lines reached.
    """
    target, seeds = _targets()[name]
    fuzzer = Fuzzer(target, seeds, seed)
    fuzzer.run(seconds)
    return fuzzer.executions, len(fuzzer.corpus), fuzzer.count_lines


# ------------------------------------------------------------------------------------------- processes


def _work(name: str, seconds: float, engine: str, folder: Path) -> None:
    """Run inside the target's own process."""
    if engine == "own":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (RSS_LIMIT_MB * 4 << 20, RSS_LIMIT_MB * 4 << 20))
        executions, kept, lines = run_own(name, seconds)
        sys.stdout.write(f"Done {executions} runs, {kept} inputs kept, {lines} lines reached\n")
        return
    import atheris

    with atheris.instrument_imports(include=["propdesk.intake", "adapters.uploads"]):
        target, seeds = _targets()[name]
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(data[:INPUT_BYTES_MAX])
    tokens = folder / "tokens"
    tokens.write_text("\n".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"' for token in _TOKENS))
    options = [
        f"-max_total_time={int(seconds)}",
        f"-rss_limit_mb={RSS_LIMIT_MB}",
        f"-timeout={int(INPUT_SECONDS_MAX)}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-dict={tokens}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        "-verbosity=1",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], target)
    atheris.Fuzz()


def _run_apart(name: str, seconds: float, engine: str) -> tuple[bool, str]:
    """Fuzz one target in a process; whether it held, and its figures or its last words."""
    with tempfile.TemporaryDirectory(prefix="propdesk-fuzz-") as folder:
        command = [
            sys.executable,
            "-m",
            "bench.fuzz",
            "--work",
            name,
            folder,
            "--engine",
            engine,
            "--seconds",
            str(seconds),
        ]
        done = subprocess.run(
            command, cwd=_ROOT, capture_output=True, text=True, errors="replace", check=False
        )
    said = done.stdout + done.stderr
    if done.returncode != 0:
        return False, said[-4_000:]
    found = re.findall(r"Done (\d+) runs[^\n]*", said)
    edges = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", said)
    figures = re.findall(r"Done \d+ runs[^\n]*", said)[-1] if found else "no figures"
    return True, figures + (f", edges {edges[-1][0]}, inputs kept {edges[-1][2]}" if edges else "")


def _engine() -> str:
    import importlib.util

    return "own" if importlib.util.find_spec("atheris") is None else "atheris"


def main() -> None:
    """Fuzz the targets, two at a time, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of wall time, shared by all targets")
    parser.add_argument("--target", action="append", help="only this one; may be repeated")
    parser.add_argument("--engine", choices=("atheris", "own"), default=_engine())
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    parser.add_argument("--work", nargs=2, metavar=("TARGET", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        _work(options.work[0], options.seconds, options.engine, Path(options.work[1]))
        return
    names = options.target or sorted(_targets())
    share = options.seconds * options.workers / len(names)
    waiting, results, lock = list(names), dict[str, tuple[bool, str]](), threading.Lock()

    def drain() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                name = waiting.pop(0)
            results[name] = _run_apart(name, share, options.engine)

    workers = [threading.Thread(target=drain) for _ in range(min(options.workers, len(names)))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.stdout.write(
        f"{machine()}\nengine {options.engine}, {share:.0f} s per target, {options.workers} at a time\n"
    )
    for name, (held, words) in sorted(results.items()):
        sys.stdout.write(f"{name}: {'held' if held else 'FOUND'}: {words}\n")
    sys.exit(0 if all(held for held, _ in results.values()) else 1)


if __name__ == "__main__":
    main()
