import json
from datetime import date

import httpx
import pytest

from adapters.calendar import load_calendar
from orchestration import launch
from propdesk.core.errors import DataFault

NODES = [
    {
        "assetKey": {"path": ["trades"]},
        "groupName": "step_5_trades",
        "isExecutable": True,
        "isPartitioned": True,
    },
    {
        "assetKey": {"path": ["legs"]},
        "groupName": "step_5_trades",
        "isExecutable": True,
        "isPartitioned": True,
    },
    {
        "assetKey": {"path": ["rules"]},
        "groupName": "step_9_rules",
        "isExecutable": True,
        "isPartitioned": True,
    },
    {
        "assetKey": {"path": ["uploads"]},
        "groupName": "sources",
        "isExecutable": False,
        "isPartitioned": False,
    },
]


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (None, ["trades", "legs", "rules"]),
        (["5"], ["trades", "legs"]),
        (["step_5_trades", "legs"], ["trades", "legs"]),
        (["rules", "5"], ["rules", "trades", "legs"]),
    ],
)
def test_a_selection_names_steps_groups_or_assets(selection: list[str] | None, names: list[str]) -> None:
    assert launch.choose_assets(NODES, selection) == [[name] for name in names]


@pytest.mark.parametrize("word", ["uploads", "7", "step_5", "nonsense"])
def test_a_selection_that_names_nothing_lists_the_groups(word: str) -> None:
    with pytest.raises(DataFault, match="step_5_trades, step_9_rules"):
        launch.choose_assets(NODES, [word])


def test_a_range_is_drawn_in_to_market_days() -> None:
    found = launch.snap_range(load_calendar(), date(2025, 1, 25), date(2025, 2, 2))
    assert found == (date(2025, 1, 27), date(2025, 2, 1)), "1 February 2025 was a Saturday session"


def test_a_range_without_a_market_day_is_refused() -> None:
    with pytest.raises(DataFault, match="no market day from 2025-01-25 to 2025-01-26"):
        launch.snap_range(load_calendar(), date(2025, 1, 25), date(2025, 1, 26))


def answer(**changes: object) -> dict[str, object]:
    return {
        "status": "SUCCESS",
        "creationTime": 100.0,
        "stats": {"enqueuedTime": 101.0, "endTime": 120.0},
        "stepStats": [
            {"stepKey": "b", "status": "SUCCESS", "startTime": 112.0, "endTime": 119.0},
            {"stepKey": "a", "status": "SUCCESS", "startTime": 110.0, "endTime": 112.0},
            {"stepKey": "c", "status": None, "startTime": None, "endTime": None},
        ],
        **changes,
    }


def test_waiting_and_working_are_told_apart() -> None:
    state = launch.read_state("r", answer())
    assert (state.wait_s, state.work_s) == (9.0, 10.0)
    assert [(step.name, step.seconds) for step in state.steps] == [("a", 2.0), ("b", 7.0)]
    assert state.has_ended


def test_a_queued_run_has_no_times_yet() -> None:
    state = launch.read_state("r", answer(status="QUEUED", stats=None, stepStats=[]))
    assert (state.wait_s, state.work_s, state.steps) == (None, None, ())
    assert not state.has_ended


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """A webserver that answers from a list and keeps what it was asked."""
    asked: list[dict[str, object]] = []
    replies: list[object] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        reply = replies.pop(0)
        return reply if isinstance(reply, httpx.Response) else httpx.Response(200, json={"data": reply})

    client = httpx.Client(transport=httpx.MockTransport(handle))
    monkeypatch.setattr(launch.httpx, "post", client.post)
    monkeypatch.setattr(launch.httpx, "Client", lambda **_: client)
    return asked, replies


def test_a_range_is_sent_as_one_run_with_all_its_checks(web) -> None:  # type: ignore[no-untyped-def]
    asked, replies = web
    replies += [
        {"assetNodes": NODES},
        {"launchPipelineExecution": {"__typename": "LaunchRunSuccess", "run": {"runId": "r1"}}},
    ]
    assert launch.launch_range("http://x", date(2025, 1, 1), date(2025, 1, 31), ["9"]) == "r1"
    params = asked[1]["variables"]["params"]  # type: ignore[index]
    assert params["selector"]["assetSelection"] == [{"path": ["rules"]}]
    assert params["selector"]["assetCheckSelection"] is None
    assert {tag["key"]: tag["value"] for tag in params["executionMetadata"]["tags"]} == {
        "dagster/asset_partition_range_start": "2025-01-01",
        "dagster/asset_partition_range_end": "2025-01-31",
    }


def test_a_pipeline_that_is_not_loaded_is_said(web) -> None:  # type: ignore[no-untyped-def]
    _, replies = web
    replies.append({"assetNodes": []})
    with pytest.raises(launch.LaunchRefused, match="http://x/deployment/locations"):
        launch.launch_range("http://x", date(2025, 1, 1), date(2025, 1, 1))


def test_a_refusal_carries_dagsters_words(web) -> None:  # type: ignore[no-untyped-def]
    _, replies = web
    refused = {"__typename": "InvalidSubsetError", "message": "not a subset"}
    replies += [{"assetNodes": NODES}, {"launchPipelineExecution": refused}]
    with pytest.raises(launch.LaunchRefused, match="not a subset"):
        launch.launch_range("http://x", date(2025, 1, 1), date(2025, 1, 1))


@pytest.mark.parametrize(
    "reply", [httpx.Response(502, text="bad gateway"), httpx.Response(200, json={"errors": ["no"]})]
)
def test_an_answer_that_is_none_is_a_clear_fault(web, reply: httpx.Response) -> None:  # type: ignore[no-untyped-def]
    _, replies = web
    replies.append(reply)
    with pytest.raises((launch.OrchestratorUnreachable, launch.LaunchRefused), match="http://x"):
        launch.wait_for("http://x", "r1")


def test_without_a_webserver_the_remedy_is_named() -> None:
    with pytest.raises(launch.OrchestratorUnreachable, match=r"run\.py up"):
        launch.launch_range("http://127.0.0.1:1", date(2025, 1, 1), date(2025, 1, 1))


def test_failures_are_read_over_all_pages(web) -> None:  # type: ignore[no-untyped-def]
    _, replies = web
    causes = [{"message": "some.module.Fault: the cause\nwith detail\n"}, {"message": "OSError: errno 5"}]
    fault = {"message": "outer", "causes": causes}
    replies += [
        {"logsForRun": {"cursor": "1", "hasMore": True, "events": [{"__typename": "LogMessageEvent"}]}},
        {
            "logsForRun": {
                "cursor": "2",
                "hasMore": False,
                "events": [{"__typename": "ExecutionStepFailureEvent", "stepKey": "step_5", "error": fault}],
            }
        },
    ]
    assert launch.failures_of("http://x", "r1") == ["step_5: the cause with detail"]


def test_a_run_that_came_to_no_step_says_what_ended_it(web) -> None:  # type: ignore[no-untyped-def]
    _, replies = web
    ended = {"__typename": "RunFailureEvent", "message": "Run timed out\nwhile starting."}
    replies.append({"logsForRun": {"cursor": "1", "hasMore": False, "events": [ended]}})
    assert launch.failures_of("http://x", "r1") == ["Run timed out while starting."]


def test_the_dear_question_is_asked_only_when_a_step_has_ended(web, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """Step times make Dagster read all events of a run: a run that goes on as before is asked cheaply."""
    monkeypatch.setattr(launch, "POLL_S", 0.0)
    asked, replies = web

    def pulse(status: str, done: int) -> dict[str, object]:
        stats = {"stepsSucceeded": done, "stepsFailed": 0}
        return {"runOrError": {"__typename": "Run", "status": status, "stats": stats}}

    def look(status: str) -> dict[str, object]:
        return {"runOrError": {"__typename": "Run", **answer(status=status)}}

    replies += [pulse("STARTED", 0), pulse("STARTED", 0), look("STARTED")]
    replies += [pulse("STARTED", 0), pulse("STARTED", 0), pulse("STARTED", 0)]
    replies += [pulse("STARTED", 1), pulse("STARTED", 1), look("STARTED")]
    replies += [pulse("STARTED", 1), pulse("SUCCESS", 1), look("SUCCESS")]
    seen: list[str] = []
    state = launch.wait_for("http://x", "r", lambda found: seen.append(found.status))
    assert (state.status, replies) == ("SUCCESS", [])
    assert seen == ["STARTED", "STARTED", "SUCCESS"]
    assert sum("stepStats" in str(question["query"]) for question in asked) == 3


def test_an_unknown_run_is_said(web) -> None:  # type: ignore[no-untyped-def]
    _, replies = web
    replies.append({"runOrError": {"__typename": "RunNotFoundError", "message": "no such run"}})
    with pytest.raises(launch.LaunchRefused, match="knows no run r: no such run"):
        launch.wait_for("http://x", "r")
