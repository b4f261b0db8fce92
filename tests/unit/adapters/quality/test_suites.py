"""Suites judge frames; Great Expectations does the judging."""

import pandas as pd
import pytest

from adapters.quality import SUITES, run_suite
from propdesk.core.errors import ConfigFault


def raw() -> pd.DataFrame:
    moments = pd.to_datetime(["2025-01-02T04:00:00Z", "2025-01-02T05:00:00Z"], utc=True)
    return pd.DataFrame(
        {
            "trade_date": [pd.Timestamp("2025-01-02").date()] * 2,
            "record_id": ["a", "b"],
            "content_hash": ["x", "y"],
            "kind": ["SIGNAL", "FOLLOWUP"],
            "revision": pd.array([1, 2], dtype="Int64"),
            "posted_at": moments,
            "received_at": moments,
        }
    )


def test_no_frame_is_hashed_to_be_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("pandas.util.hash_pandas_object", refuse)
    assert run_suite("raw_signals", raw()).success


def test_a_sound_frame_passes_and_an_empty_one_too() -> None:
    for frame in (raw(), raw().iloc[:0]):
        result = run_suite("raw_signals", frame)
        assert result.success, result.sentence
        assert not result.is_blocked
        assert len(result.results) == len(SUITES["raw_signals"].rules)


@pytest.mark.parametrize(
    ("changes", "expectation"),
    [
        ({"record_id": ["a", "a"]}, "be_unique(record_id)"),
        ({"content_hash": ["x", None]}, "not_be_null(content_hash)"),
        ({"kind": ["SIGNAL", "NEWS"]}, "be_in_set(kind)"),
        ({"revision": [0, 1]}, "be_between(revision)"),
    ],
)
def test_a_broken_rule_blocks_and_is_named(changes: dict[str, list[object]], expectation: str) -> None:
    result = run_suite("raw_signals", raw().assign(**changes))
    assert result.is_blocked
    assert [failure["expectation"] for failure in result.failures] == [expectation]
    assert expectation in result.sentence


def test_a_watched_rule_fails_without_blocking() -> None:
    frame = raw()
    frame["posted_at"] = frame["posted_at"] + pd.Timedelta(minutes=1)
    result = run_suite("raw_signals", frame)
    assert not result.success
    assert not result.is_blocked


def test_a_missing_column_blocks() -> None:
    result = run_suite("raw_signals", raw().drop(columns="revision"))
    assert result.is_blocked
    assert result.failures[0]["error"] == "no column revision"


def test_rule_names_are_unique_within_a_suite() -> None:
    for suite in SUITES.values():
        names = [rule.name for rule in suite.rules]
        assert len(names) == len(set(names)), suite.name


def test_an_unknown_suite_names_the_known() -> None:
    with pytest.raises(ConfigFault, match="raw_signals"):
        run_suite("nonesuch", raw())
