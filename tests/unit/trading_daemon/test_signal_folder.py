import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from adapters.log import get_logger
from adapters.mongo.batch import MongoUnreachable
from adapters.uploads.folder import FILES_MAX
from adapters.uploads.limits import UploadLimits
from propdesk.core.clock import NS_PER_SECOND, ManualClock
from propdesk.intake.document import document_to_record
from propdesk.model.signal import Signal
from tests.support.landing import NOW_NS, MemoryLanding, idea
from trading_daemon.landing import judge_document
from trading_daemon.signal_folder import REST_S, UNENDED_S, SignalFolder, Writer, writer_of

LIMITS = UploadLimits(1_000, 1_000_000, 100, 4_096)


class Desk:
    """A folder, its watcher and what it put down; a new life of the watcher remembers nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.landing = MemoryLanding()
        self.clock = ManualClock(NOW_NS)
        self.reborn()

    def reborn(self) -> None:
        self.watcher = SignalFolder(
            self.folder, self.landing, self.clock, get_logger(), LIMITS, age_max_s=86_400
        )

    def drop(self, name: str, *documents: dict[str, Any]) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        if name.endswith(".csv"):
            text = io.StringIO()
            writer = csv.DictWriter(text, list(documents[0]))
            writer.writeheader()
            writer.writerows(documents)
            path.write_text(text.getvalue())
        else:
            path.write_text("".join(json.dumps(one) + "\n" for one in documents))
        return path

    async def look(self, times: int = 2) -> None:
        for _ in range(times):
            self.clock.advance_to(self.clock.now_ns() + NS_PER_SECOND)
            await self.watcher.look()

    def names(self, place: str) -> list[str]:
        """Names of files without the moment they were taken at."""
        return sorted(path.name.partition("-")[2] for path in (self.folder / place).glob("*"))

    def heard(self) -> list[str]:
        return [one["source_message_id"] for one in self.landing.documents.values()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize("name", ["day.csv", "day.jsonl"])
async def test_a_file_is_heard_once_it_has_stopped_changing(desk: Desk, name: str) -> None:
    desk.drop(name, idea(1))
    await desk.look(1)
    assert desk.heard() == []
    desk.drop(name, idea(1), idea(2))
    await desk.look(1)
    assert desk.heard() == [], "it grew"
    await desk.look(1)
    assert desk.heard() == ["d1", "d2"]
    assert desk.names("accepted") == [name]
    assert desk.names("taken") == []
    record = document_to_record(next(iter(desk.landing.documents.values())), received_ns=desk.clock.now_ns())
    assert isinstance(record, Signal)
    assert desk.landing.doors == ["folder:sample"]


async def test_a_file_that_somebody_still_writes_is_left_alone_however_long_it_rests(desk: Desk) -> None:
    path = desk.drop("slow.csv", idea(1))
    with path.open("a") as writer:
        await desk.look(3)
        assert desk.heard() == []
        assert writer_of(path) is Writer.SOMEBODY
        writer.write(",".join(idea(2).values()) + "\r\n")
    await desk.look()
    assert desk.heard() == ["d1", "d2"]


@pytest.mark.parametrize("name", ["day.csv", "day.jsonl"])
@pytest.mark.parametrize("posted_at", ["2025-07-01T09:59:00+05:30", "2025-07-01T04:29:00Z"])
async def test_the_same_words_by_webhook_and_by_file_are_one_document(
    desk: Desk, name: str, posted_at: str
) -> None:
    document = idea(1, posted_at=posted_at)
    judged = judge_document({**document, "remark": "x"}, NOW_NS, 86_400, source="feed")
    (put,) = await desk.landing.land("webhook:feed", [judged.document])
    desk.drop(name, document)
    await desk.look()
    assert list(desk.landing.documents) == [put.document_id]
    assert desk.landing.doors == ["webhook:feed", "folder:sample"]


@pytest.mark.parametrize("name", ["day.csv", "day.jsonl"])
@pytest.mark.parametrize("is_ended_later", [True, False])
async def test_a_last_line_without_its_end_is_not_read(desk: Desk, name: str, is_ended_later: bool) -> None:
    path = desk.drop(name, idea(1), idea(2))
    text = path.read_text()
    path.write_text(text.rstrip())
    await desk.look(5)
    assert desk.heard() == []
    if is_ended_later:
        path.write_text(text)
        await desk.look()
        assert desk.heard() == ["d1", "d2"]
        return
    desk.clock.advance_to(desk.clock.now_ns() + UNENDED_S * NS_PER_SECOND)
    await desk.look(1)
    assert desk.heard() == []
    (told,) = (desk.folder / "rejected").glob("*.reason.txt")
    assert "last line" in told.read_text()


async def test_where_nobody_can_be_asked_who_writes_a_file_rests_longer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_daemon.signal_folder.writer_of", lambda _: Writer.UNKNOWN)
    path = desk.drop("day.csv", idea(1))
    await desk.look(REST_S)
    desk.drop("day.csv", idea(1), idea(2))
    await desk.look(REST_S)
    assert desk.heard() == []
    assert path.exists()
    await desk.look(3)
    assert desk.heard() == ["d1", "d2"]


async def test_what_is_written_after_a_file_was_read_is_told_to_people(desk: Desk) -> None:
    desk.drop("day.csv", idea(1))
    await desk.look()
    (accepted,) = (desk.folder / "accepted").iterdir()
    with accepted.open("a") as late:
        late.write("x\n")
    await desk.look(2)
    (told,) = (desk.folder / "rejected").glob("*.reason.txt")
    assert "after it had been read" in told.read_text()


async def test_a_place_that_cannot_be_looked_at_holds_up_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.drop("private/a.csv", idea(1))
    desk.drop("good.csv", idea(2))
    real = Path.iterdir

    def closed(self: Path) -> Any:
        if self.name == "private":
            raise PermissionError(13, "Permission denied")
        return real(self)

    monkeypatch.setattr(Path, "iterdir", closed)
    await desk.look()
    assert desk.heard() == ["d2"]


async def test_any_number_of_files_that_cannot_be_moved_hold_up_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(FILES_MAX):
        desk.drop(f"sample/{number}.csv", idea(number))
    late = desk.drop("good.csv", idea(99))
    os.utime(late, ns=(1 << 61, 1 << 61))
    real, tries = Path.rename, 0

    def rename(self: Path, target: Path) -> Path:
        nonlocal tries
        if self.parent.name == "sample":
            tries += 1
            raise PermissionError(13, "Permission denied")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    await desk.look(4)
    assert desk.heard() == ["d99"]
    assert tries == FILES_MAX, "each was tried once"


async def test_unfinished_names_and_files_put_away_are_not_read(desk: Desk) -> None:
    for name in ("a.csv.part", ".b.csv", "accepted/c.csv", "rejected/d.csv"):
        desk.drop(name, idea(1)) if name.endswith(".csv") else (desk.folder / name).write_text("x")
    await desk.look(3)
    assert desk.heard() == []


async def test_the_same_name_and_the_same_content_may_come_again(desk: Desk) -> None:
    for content in (idea(1), idea(1), idea(2)):
        desk.drop("day.csv", content)
        await desk.look()
    assert desk.heard() == ["d1", "d2"]
    assert desk.names("accepted") == ["day.csv"] * 3, "each file as it came"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("empty.csv", "", "empty"),
        ("page.csv", "<html>\n", "column"),
        ("book.csv", "PK\x03\x04", "ZIP"),
        ("unheard-of/day.csv", "kind\nSIGNAL\n", "source profile"),
    ],
)
async def test_a_file_that_cannot_be_read_is_put_aside_with_its_reason(
    desk: Desk, name: str, text: str, reason: str
) -> None:
    path = desk.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    await desk.look()
    aside = path.parent / "rejected"
    assert sorted(found.name.partition("-")[2] for found in aside.iterdir()) == [
        path.name,
        f"{path.name}.reason.txt",
    ]
    (told,) = aside.glob("*.reason.txt")
    assert reason in told.read_text()
    assert not path.exists()
    assert desk.heard() == []


async def test_bad_rows_are_kept_beside_with_their_reasons_and_the_others_are_heard(desk: Desk) -> None:
    desk.drop(
        "day.csv",
        idea(1),
        idea(2, posted_at="yesterday"),
        idea(3, posted_at="2025-06-01T10:00:00+05:30"),
        idea(4),
    )
    await desk.look()
    assert desk.heard() == ["d1", "d4"]
    (rows,) = (desk.folder / "rejected").glob("*.rows.jsonl")
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [(one["row"], one["reasons"]) for one in found] == [(2, ["BAD_TIME"]), (3, ["HISTORY"])]
    assert json.loads(found[0]["raw"])["source_message_id"] == "d2"
    assert desk.names("accepted") == ["day.csv"]


async def test_while_nothing_can_be_stored_the_file_waits_and_nothing_is_lost(desk: Desk) -> None:
    desk.drop("day.csv", idea(1), idea(2))
    await desk.look(1)
    desk.landing.is_away = True
    for _ in range(2):
        with pytest.raises(MongoUnreachable):
            await desk.look(1)
    assert desk.names("taken") == ["day.csv"]
    desk.landing.is_away = False
    await desk.look(1)
    assert desk.heard() == ["d1", "d2"]
    assert desk.names("accepted") == ["day.csv"]


class Killed(BaseException):
    """Nothing runs after it."""


@pytest.mark.parametrize("step", range(5))
async def test_killed_at_any_step_nothing_is_lost_or_heard_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Renames, puttings down and writings of a file, each cut off before or after it took effect."""
    desk.drop("day.csv", idea(1), idea(2, posted_at="?"))
    desk.drop("next.csv", idea(3))
    count = 0

    def dies() -> bool:
        nonlocal count
        count += 1
        return count == step + 1

    real_rename, real_land = Path.rename, MemoryLanding.land

    def rename(self: Path, target: Path) -> Path:
        if dies():
            raise Killed
        return real_rename(self, target)

    async def land(self: MemoryLanding, *words: Any) -> Any:
        found = await real_land(self, *words)
        if dies():
            raise Killed
        return found

    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(MemoryLanding, "land", land)
    with pytest.raises(Killed):
        await desk.look()
    desk.reborn()
    await desk.look(3)
    assert sorted(desk.heard()) == ["d1", "d3"]
    assert desk.names("accepted") == ["day.csv", "next.csv"]
    assert desk.names("rejected") == ["day.csv.rows.jsonl"]
    assert desk.names("taken") == []


async def test_a_file_that_grew_while_it_was_read_is_read_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.drop("day.csv", idea(1))
    real = MemoryLanding.land

    async def land(self: MemoryLanding, *words: Any) -> Any:
        monkeypatch.setattr(MemoryLanding, "land", real)
        (taken,) = (desk.folder / "taken").iterdir()
        with taken.open("a") as late:
            late.write(",".join(idea(2).values()) + "\r\n")
        return await real(self, *words)

    monkeypatch.setattr(MemoryLanding, "land", land)
    await desk.look()
    assert desk.names("taken") == ["day.csv"]
    await desk.look(1)
    assert desk.heard() == ["d1", "d2"]


async def test_a_file_that_cannot_be_moved_holds_up_no_other(desk: Desk) -> None:
    desk.drop("a" * 245 + ".csv", idea(1))  # too long once it carries the moment it was taken at
    desk.drop("b.csv", idea(2))
    await desk.look(3)
    assert desk.heard() == ["d2"]
    assert desk.names("accepted") == ["b.csv"]


async def test_what_may_not_be_read_and_what_leads_elsewhere_is_put_aside(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.write_text("hidden\nword\n")
    (desk.folder / "link.csv").symlink_to(secret)
    await desk.look()
    desk.drop("locked.csv", idea(1))

    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("trading_daemon.signal_folder.read_file", closed)
    await desk.look()
    reasons = {
        p.name.partition("-")[2]: p.read_text() for p in (desk.folder / "rejected").glob("*.reason.txt")
    }
    assert "link" in reasons["link.csv.reason.txt"]
    assert "Permission denied" in reasons["locked.csv.reason.txt"]
    assert secret.exists()
