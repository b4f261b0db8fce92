import json
import os
from pathlib import Path

from dagster import build_sensor_context

from adapters.calendar import load_calendar
from adapters.settings import Settings
from adapters.uploads.folder import choose_stable, look_at_folder
from orchestration.jobs import CHAIN, CHAIN_FIRST, REFERRED_FIRST, TOUCHED_FIRST, TOUCHED_LAST
from orchestration.launch import RANGE_END, RANGE_START
from orchestration.sensors import request_after_upload, upload_folder


def put(folder: Path, name: str, text: str = "x", second: int = 1) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, ns=(second * 10**9, second * 10**9))


def test_only_finished_files_are_seen(tmp_path: Path) -> None:
    for name in (
        "a.csv",
        ".hidden.csv",
        "b.csv.part",
        "c.tmp",
        "accepted/old.csv",
        "rejected/bad.csv",
        "telegram/d.txt",
    ):
        put(tmp_path, name)
    assert sorted(look_at_folder(tmp_path)) == ["a.csv", "telegram/d.txt"]


def test_no_folder_holds_no_files(tmp_path: Path) -> None:
    assert look_at_folder(tmp_path / "none") == {}


def test_a_file_that_still_grows_is_left_alone() -> None:
    assert choose_stable({"a": (10, 1), "b": (5, 2)}, {"a": (9, 1), "b": (5, 2)}) == ["b"]
    assert choose_stable({"a": (10, 1)}, {}) == [], "seen for the first time"


def test_the_oldest_file_comes_first() -> None:
    now = {"a": (1, 30), "b": (1, 10), "c": (1, 20)}
    assert choose_stable(now, now) == ["b", "c", "a"]


def test_a_file_is_taken_at_the_second_look_with_the_profile_of_its_folder(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    put(settings.upload_dir, "day.csv")
    put(settings.upload_dir, "telegram_export/calls.json")
    first = upload_folder(build_sensor_context(resources={"settings": settings}))
    assert first.run_requests == []
    second = upload_folder(build_sensor_context(cursor=first.cursor, resources={"settings": settings}))
    asked = {
        r.tags["propdesk/file"]: r.run_config["ops"]["ingest_upload"]["config"] for r in second.run_requests
    }
    assert asked["day.csv"] == {"path": str(settings.upload_dir / "day.csv"), "profile": "sample"}
    assert asked["telegram_export/calls.json"]["profile"] == "telegram_export"
    assert set(json.loads(second.cursor)) == set(asked)


def test_a_look_at_the_folder_that_asks_for_nothing_says_why(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)

    def look() -> str:
        return str(
            upload_folder(build_sensor_context(resources={"settings": settings})).skip_reason.skip_message
        )

    missing = upload_folder(build_sensor_context(resources={"settings": settings}))
    assert missing.skip_message == f"The upload folder {settings.upload_dir} does not exist: make it."
    settings.upload_dir.mkdir()
    assert look() == "No file waits."
    put(settings.upload_dir, "day.csv")
    assert look() == "Looked at again until they stop changing: day.csv."


def test_a_file_put_back_later_is_asked_for_anew(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    keys = []
    for second in (1, 2):
        put(settings.upload_dir, "day.csv", second=second)
        cursor = upload_folder(build_sensor_context(resources={"settings": settings})).cursor
        again = upload_folder(build_sensor_context(cursor=cursor, resources={"settings": settings}))
        keys.append(again.run_requests[0].run_key)
    assert keys[0] != keys[1]


def test_a_file_is_followed_by_all_steps_over_its_days() -> None:
    tags = {TOUCHED_FIRST: "2025-06-12", TOUCHED_LAST: "2025-06-15"}  # to a Sunday
    request = request_after_upload(load_calendar(), "r", tags)
    assert request.job_name == "all_steps"
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("2025-06-12", "2025-06-13")


def test_followups_to_older_signals_let_their_outcomes_be_worked_out_first() -> None:
    tags = {TOUCHED_FIRST: "2025-06-12", TOUCHED_LAST: "2025-06-13", REFERRED_FIRST: "2025-06-04"}
    request = request_after_upload(load_calendar(), "r", tags)
    assert request.job_name == "signals_to_excursions"
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("2025-06-04", "2025-06-13")
    assert (request.tags[CHAIN_FIRST], request.tags[CHAIN]) == ("2025-06-12", "2025-06-13")
