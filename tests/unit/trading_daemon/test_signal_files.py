import gzip
from pathlib import Path

import pytest

from propdesk.core.errors import SchemaFault
from trading_daemon.signal_files import read_signal_file

LINE = '{"kind": "SIGNAL", "advisor_id": "A01"}'
CSV = "kind,advisor_id,stoploss\nSIGNAL,A01,\n"


@pytest.mark.parametrize(
    "content",
    [
        LINE.encode(),
        f"\ufeff{LINE}\n\n".encode(),
        f"[{LINE}]".encode(),
        CSV.encode(),
        gzip.compress(LINE.encode(), mtime=0),
    ],
)
def test_every_form_gives_the_same_document(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "signals"
    file.write_bytes(content)
    assert read_signal_file(file) == [{"kind": "SIGNAL", "advisor_id": "A01"}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no signal"),
        (b"\x00\xff\xfe", "cannot be read"),
        (gzip.compress(LINE.encode(), mtime=0)[:20], "cannot be read"),
        (f"{LINE}\n{{".encode(), "line 2"),
        (b'{"fraction": NaN}', "NaN"),
        (b"[1]", "JSON objects"),
    ],
)
def test_an_unusable_file_is_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "signals"
    file.write_bytes(content)
    with pytest.raises(SchemaFault, match=words):
        read_signal_file(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaFault, match="nowhere"):
        read_signal_file(tmp_path / "nowhere")
