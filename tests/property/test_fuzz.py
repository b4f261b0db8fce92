"""A short run of the fuzzing loop per parser, and proof that it would find something."""

import pytest

from bench.fuzz import Fuzzer, run_own

TARGETS = ["csv", "json", "json_lines", "telegram", "messages", "parquet", "one_line", "document", "fields"]


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_holds_for_a_moment(name: str) -> None:
    executions, kept, lines = run_own(name, seconds=0.5)
    assert executions > 0
    assert kept > 0
    assert lines > 20


def test_the_loop_finds_a_planted_crash() -> None:
    def fragile(data: bytes) -> None:
        if data[:2] == b"BU":
            raise ZeroDivisionError

    fuzzer = Fuzzer(fragile, [b"AU", b"xBUY"], seed=7)
    with pytest.raises(ZeroDivisionError) as caught:
        fuzzer.run(seconds=30)
    assert "input: b'BU" in caught.value.__notes__[0]
