"""Every door leaves a chained row; edits and deletions are versions; tampering of any kind is found."""

import json
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from adapters.db.engine import begin
from adapters.db.repos.signal_log import read_versions
from propdesk.intake import FullExport
from tests.support.signal_door import Door, row

pytestmark = pytest.mark.integration


def test_new_and_changed_rows_are_logged_and_repeats_are_not(door: Door) -> None:
    door.ingest([row(1), row(2)])
    door.ingest([row(1, stoploss="95"), row(2)])
    assert door.changes() == [("POSTED", "m1", 1), ("POSTED", "m2", 1), ("EDITED", "m1", 2)]
    assert door.broken() == {}
    assert door.verdicts()["file:sample"].rows == 3


def test_a_failed_upload_leaves_nothing_in_the_log(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise psycopg.errors.DiskFull("no space")

    monkeypatch.setattr("adapters.db.repos.uploads.record_upload", fail)
    with pytest.raises(Exception, match="no space"):
        door.ingest([row(1)])
    assert door.changes() == []


def test_what_a_full_export_lacks_was_deleted_and_may_come_back(door: Door) -> None:
    door.ingest([row(1), row(2), row(3, advisor_id="A2")])
    silent = door.ingest([row(1)])
    assert silent.rows_deleted == 0
    within = door.ingest([row(1)], door.full(FullExport.ADVISOR))
    assert within.rows_deleted == 1
    whole = door.ingest([row(1)], door.full(FullExport.SOURCE))
    assert whole.rows_deleted == 1
    assert door.ingest([row(1)], door.full(FullExport.SOURCE)).rows_deleted == 0
    door.ingest([row(2)])
    assert [change[:2] for change in door.changes()[3:]] == [
        ("DELETED", "m2"),
        ("DELETED", "m3"),
        ("RESTORED", "m2"),
    ]
    assert door.broken() == {}
    with begin(door.engine) as connection:
        landed = connection.execute("SELECT count(*) FROM raw.landed_rows").fetchone()
    assert landed == (3,), "what its advisor took back stays in every denominator"


def test_a_message_that_no_longer_reads_is_not_missing(door: Door) -> None:
    door.ingest([row(1), row(2)])
    summary = door.ingest([row(1), row(2, posted_at="soon")], door.full(FullExport.SOURCE))
    assert (summary.rows_quarantined, summary.rows_deleted) == (1, 0)


@pytest.mark.parametrize(
    ("second", "unnamed", "deleted"),
    [
        ('{"source_message_id": "m2", "symbol": {"a": 1}}', 0, 0),
        ('{"source_message_id": " m2 ", "advisor_id": "A1", "posted_at": "soon"}', 0, 0),
        ('{"source_message_id": "m2", "side": "BUY", "side": "SELL"}', 0, 0),
        ('{"source_message_id": "m1", "side": "BUY", "side": "SELL"}', 0, 1),
        ('{"side": "BUY", "side": "BUY", "source_message_id": "m1", "source_message_id": "m2"}', 1, 0),
        ('{"symbol": {"a": 1}}', 1, 0),
        ('{"source_message_id": "m2", "symb', 1, 0),
        ("7", 1, 0),
    ],
)
def test_a_malformed_record_of_a_full_export_is_not_missing(
    door: Door, second: str, unnamed: int, deleted: int
) -> None:
    door.ingest([row(1), row(2)])
    door.path.write_text(f"{json.dumps(row(1))}\n{second}\n", encoding="utf-8")
    summary = door.take(door.full(FullExport.ADVISOR))
    assert (summary.rows_quarantined, summary.rows_unnamed, summary.rows_deleted) == (1, unnamed, deleted)
    assert door.ingest([row(1), row(2)]).rows_unnamed == 0, "only a full export is searched"


def test_a_malformed_message_of_an_exported_chat_is_not_taken_back(door: Door) -> None:
    stamp = {"type": "message", "date": "2025-01-02T09:21:00"}
    messages: list[dict[str, Any]] = [
        stamp | {"id": n, "from_id": "c9", "from": "Calls", "text": f"BUY TCS ABOVE {100 + n} SL 90 TGT 120"}
        for n in (1, 2, 3)
    ]
    bad = messages[1] | {"text": [{"type": "bold"}]}
    for sent, gone in ((messages, 0), ([messages[0], bad, messages[2]], 0), ([messages[0], bad], 1)):
        door.path.write_text(json.dumps({"name": "Calls", "id": 9, "messages": sent}), encoding="utf-8")
        summary = door.take("telegram_desktop")
        assert (summary.rows_deleted, summary.rows_unnamed) == (gone, 0)
    assert [change for change in door.changes() if change[0] != "POSTED"] == [("DELETED", "3", 1)]


def test_versions_of_a_record_carry_their_content(door: Door) -> None:
    door.ingest([row(1)])
    door.ingest([row(1, stoploss="95")])
    door.ingest([row(2)], door.full(FullExport.SOURCE))
    with begin(door.engine) as connection:
        record = connection.execute("SELECT record_id FROM raw.signal_log ORDER BY seq LIMIT 1").fetchone()
        assert record is not None
        versions = read_versions(connection, record[0])
    assert [one["change"] for one in versions] == ["POSTED", "EDITED", "DELETED"]
    assert [one["content"]["stoploss"] for one in versions] == ["91", "95", "95"]
    assert versions[0]["claimed_at"] == datetime(2025, 1, 2, 3, 51, tzinfo=UTC)
    assert versions[0]["logged_at"] < versions[1]["logged_at"] < versions[2]["logged_at"]


def test_an_edited_message_counts_from_its_edit_on(door: Door) -> None:
    door.ingest([row(1, edited_at="2025-01-02T11:00:00+05:30")])
    with begin(door.engine) as connection:
        found = connection.execute("SELECT posted_at, received_at FROM raw.landed_rows").fetchone()
    assert found == (
        datetime(2025, 1, 2, 3, 51, tzinfo=UTC),
        datetime(2025, 1, 2, 5, 30, door.settings.default_receive_lag_s, tzinfo=UTC),
    )


def test_the_log_refuses_changes_even_from_its_owner(door: Door) -> None:
    door.ingest([row(1)])
    for statement in (
        "UPDATE raw.signal_log SET revision = 2",
        "DELETE FROM raw.signal_log",
        "TRUNCATE raw.signal_log",
    ):
        with (
            pytest.raises(psycopg.errors.RaiseException, match="append-only"),
            begin(door.engine) as connection,
        ):
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE raw.signal_log SET claimed_at = claimed_at + interval '1 us' WHERE seq = 3", "seq 3"),
        ("UPDATE raw.signal_log SET received_at = NULL WHERE seq = 3", "seq 3"),
        ("UPDATE raw.signal_log SET logged_at = logged_at - interval '1 day' WHERE seq = 1", "seq 1"),
        ("UPDATE raw.signal_log SET advisor_id = 'A9' WHERE seq = 2", "seq 2"),
        ("UPDATE raw.signal_log SET change = 'EDITED' WHERE seq = 2", "seq 2"),
        ("UPDATE raw.signal_log SET hash = sha256('x') WHERE seq = 4", "seq 4"),
        ("UPDATE raw.signal_log SET previous_hash = sha256('x') WHERE seq = 4", "seq 4"),
        ("DELETE FROM raw.signal_log WHERE seq = 2", "seq 3: row 2 is missing"),
        ("DELETE FROM raw.signal_log WHERE seq = 1", "seq 2: row 1 is missing"),
    ],
)
def test_a_changed_or_missing_row_is_named(door: Door, statement: str, place: str) -> None:
    door.ingest([row(number) for number in range(1, 6)])
    door.tamper(statement)
    assert place in door.broken()["file:sample"]


def test_a_row_put_in_with_a_right_hash_breaks_the_next(door: Door) -> None:
    door.ingest([row(number) for number in range(1, 4)])
    door.tamper(
        "UPDATE raw.signal_log SET advisor_id = 'A9', hash = sha256('forged') WHERE seq = 2",
        "UPDATE raw.signal_log SET previous_hash = sha256('forged') WHERE seq = 3",
    )
    assert "seq 2" in door.broken()["file:sample"]


def test_changed_content_is_found_though_the_chain_is_whole(door: Door) -> None:
    door.ingest([row(1), row(2)])
    door.tamper(
        "UPDATE raw.landed_rows SET content = jsonb_set(content::jsonb, '{stoploss}', '\"50\"')"
        " WHERE row_number = 2"
    )
    assert set(door.broken()) == {"raw.landed_rows"}
    assert "row 2" in door.broken()["raw.landed_rows"]


def test_rows_that_go_or_come_beside_the_log_are_found(door: Door) -> None:
    door.ingest([row(1), row(2)])
    door.tamper("DELETE FROM raw.landed_rows WHERE row_number = 2")
    assert set(door.broken()) == {"logged rows that landed"}
    door.tamper(
        "INSERT INTO raw.landed_rows SELECT 'u', 9, trade_date, 'r9', kind, 1, content_hash, received_at,"
        " posted_at, content FROM raw.landed_rows LIMIT 1"
    )
    assert "landed rows in the log" in door.broken()


def test_a_chain_cut_short_or_redone_is_found_by_its_earlier_head(door: Door) -> None:
    door.ingest([row(1), row(2)])
    whole = door.verdicts()["file:sample"]
    heads = {"file:sample": (whole.rows, whole.head)}
    assert door.broken(heads) == {}
    door.ingest([row(3)])
    assert door.broken(heads) == {}, "a chain may grow"
    door.tamper(
        "DELETE FROM raw.signal_log WHERE seq >= 2", "DELETE FROM raw.landed_rows WHERE row_number > 1"
    )
    assert "cut" in door.broken(heads)["head of file:sample noted earlier"]
    door.tamper("TRUNCATE raw.signal_log, raw.landed_rows")
    door.ingest([row(5), row(6)])
    assert set(door.broken(heads)) == {"head of file:sample noted earlier"}
