"""Start runs in Dagster's queue over its GraphQL interface and follow them.

A range is launched as ONE run by two range tags, with ``assetCheckSelection: null`` so that every check
runs with its asset (an empty list is refused).
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import httpx

from orchestration.instance import LOCATION
from propdesk.core.calendar import MarketCalendar
from propdesk.core.errors import DataFault, PropdeskError

REPOSITORY: Final = "__repository__"
ASSET_JOB: Final = "__ASSET_JOB"
RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"
REQUEST_S: Final = 30.0
POLL_S: Final = 0.4
POLL_LATER_S: Final = 1.5
"""Between two looks at a run that is older than `YOUNG_S`: each costs the web server 40 ms."""
YOUNG_S: Final = 20.0
SENTENCE_MAX: Final = 500
ENDED: Final = frozenset({"SUCCESS", "FAILURE", "CANCELED"})

_LAUNCH: Final = """
mutation Launch($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on InvalidSubsetError { message }
    ... on PipelineNotFoundError { message }
    ... on UnauthorizedError { message }
    ... on ConflictingExecutionParamsError { message }
    ... on NoModeProvidedError { message }
    ... on PresetNotFoundError { message }
    ... on RunConflict { message }
  }
}"""
_ASSETS: Final = """
{ assetNodes { assetKey { path } groupName isExecutable isPartitioned } }"""
_RUN: Final = """
query Run($id: ID!) {
  runOrError(runId: $id) {
    __typename
    ... on Run {
      status creationTime startTime endTime
      stats { ... on RunStatsSnapshot { enqueuedTime launchTime startTime endTime } }
      stepStats { stepKey status startTime endTime }
    }
    ... on RunNotFoundError { message }
    ... on PythonError { message }
  }
}"""
_PULSE: Final = """
query Pulse($id: ID!) {
  runOrError(runId: $id) {
    __typename
    ... on Run { status stats { ... on RunStatsSnapshot { stepsSucceeded stepsFailed } } }
    ... on RunNotFoundError { message }
    ... on PythonError { message }
  }
}"""
_FAILURES: Final = """
query Failures($id: ID!, $cursor: String) {
  logsForRun(runId: $id, afterCursor: $cursor, limit: 1000) {
    ... on EventConnection {
      cursor hasMore
      events {
        __typename
        ... on ExecutionStepFailureEvent { stepKey error { message causes { message } } }
        ... on RunFailureEvent { message }
      }
    }
  }
}"""


class OrchestratorUnreachable(PropdeskError):
    """Dagster's webserver does not answer."""


class LaunchRefused(PropdeskError):
    """Dagster did not take the run."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """One step of a run.

    Parameters
    ----------
    name : str
    status : str
        ``IN_PROGRESS``, ``SUCCESS``, ``FAILURE`` or ``SKIPPED``.
    seconds : float or None
        How long it took; None while it runs.
    """

    name: str
    status: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class RunState:
    """What is known of a run.

    Parameters
    ----------
    run_id : str
    status : str
        Dagster's word: ``QUEUED``, ``STARTING``, ``STARTED``, ``SUCCESS``, ``FAILURE``, ``CANCELED`` …
    steps : tuple of StepTime
        In the order in which they started.
    wait_s, work_s : float or None
        From the request to the first step (queue, process start, planning), and from there to the end; None
        until it is known.
    """

    run_id: str
    status: str
    steps: tuple[StepTime, ...]
    wait_s: float | None
    work_s: float | None

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs or will run."""
        return self.status in ENDED


def snap_range(calendar: MarketCalendar, first: date, last: date) -> tuple[date, date]:
    """Draw a range of days in to the market days at its ends.

    Parameters
    ----------
    calendar : MarketCalendar
    first, last : date
        Closed interval.

    Returns
    -------
    tuple of date
        First and last market day within it.

    Raises
    ------
    DataFault
        If no market day lies within it.
    """
    days = calendar.market_days(first, last)
    if not days:
        raise DataFault(f"There is no market day from {first} to {last}; give a range that holds one.")
    return days[0], days[-1]


def launch_range(
    base_url: str,
    first: date,
    last: date,
    selection: Sequence[str] | None = None,
    *,
    timeout_s: float = REQUEST_S,
) -> str:
    """Queue one run that materialises a range of days.

    Parameters
    ----------
    base_url : str
        Of the webserver, e.g. ``http://127.0.0.1:3000``.
    first, last : date
        Closed interval; both must be market days (`snap_range`).
    selection : sequence of str, optional
        Names of groups (``step_5_trades``), of assets, or numbers of steps (``"5"``); all steps by default.
    timeout_s : float
        Longest wait for one answer, s.

    Returns
    -------
    str
        Id of the run.

    Raises
    ------
    OrchestratorUnreachable
        If the webserver does not answer.
    LaunchRefused
        If Dagster does not take the run; its words are in the text.
    DataFault
        If the selection names nothing.
    """
    nodes = _ask(base_url, _ASSETS, {}, timeout_s)["assetNodes"]
    if not nodes:
        raise LaunchRefused(f"Dagster has not loaded the pipeline; see {base_url}/deployment/locations.")
    keys = choose_assets(nodes, selection)
    tags = [
        {"key": RANGE_START, "value": first.isoformat()},
        {"key": RANGE_END, "value": last.isoformat()},
    ]
    return _launch(base_url, ASSET_JOB, keys, tags, timeout_s)


def choose_assets(nodes: Sequence[dict[str, Any]], selection: Sequence[str] | None) -> list[list[str]]:
    """Pick asset keys from what the webserver lists.

    Parameters
    ----------
    nodes : sequence of dict
        ``assetKey.path``, ``groupName``, ``isExecutable``, ``isPartitioned``.
    selection : sequence of str, optional
        Groups, assets or step numbers; all partitioned executable assets by default.

    Returns
    -------
    list of list of str
        Paths of the keys.

    Raises
    ------
    DataFault
        If a word names nothing; the text lists the groups.
    """
    ours = [node for node in nodes if node["isExecutable"] and node["isPartitioned"]]
    if selection is None:
        return [node["assetKey"]["path"] for node in ours]
    chosen: list[list[str]] = []
    for word in selection:
        found = [node["assetKey"]["path"] for node in ours if _is_meant(node, word)]
        if not found:
            groups = ", ".join(sorted({node["groupName"] for node in ours}))
            raise DataFault(f"There is no step, group or asset named {word}; the groups are {groups}.")
        chosen += [path for path in found if path not in chosen]
    return chosen


def _is_meant(node: dict[str, Any], word: str) -> bool:
    group = str(node["groupName"])
    return word in (group, "/".join(node["assetKey"]["path"])) or group.startswith(f"step_{word}_")


def wait_for(
    base_url: str,
    run_id: str,
    on_progress: Callable[[RunState], None] = lambda _: None,
    *,
    timeout_s: float = 3_600.0,
) -> RunState:
    """Follow a run until it ends.

    Parameters
    ----------
    base_url : str
        Of the webserver.
    run_id : str
        From `launch_range`.
    on_progress : callable
        Called whenever the run has got further.
    timeout_s : float
        Longest wait, s.

    Returns
    -------
    RunState
        Ended, whether well or not.

    Raises
    ------
    OrchestratorUnreachable
        If the webserver goes away, or the run does not end in time.
    LaunchRefused
        If Dagster knows no such run.

    Notes
    -----
    For the times of the steps Dagster reads every event of the run anew, thousands in a range run: two looks
    a second cost three quarters of the run's own processor time. So it is asked only when a cheap question
    has shown that a step has ended, one pause later, when the next one has begun.
    """
    begun, pause = time.monotonic(), threading.Event()
    before: dict[str, Any] = {}
    has_news = False
    with httpx.Client() as client:
        while True:
            now = _run_answer(client, base_url, _PULSE, run_id)
            if has_news or now["status"] in ENDED:
                state = read_state(run_id, _run_answer(client, base_url, _RUN, run_id))
                on_progress(state)
                if state.has_ended:
                    return state
            waited_s = time.monotonic() - begun
            if waited_s > timeout_s:
                raise OrchestratorUnreachable(
                    f"Run {run_id} is {now['status']} after {timeout_s:.0f} s; "
                    f"look at {base_url}/runs/{run_id}."
                )
            before, has_news = now, now != before
            pause.wait(POLL_S if waited_s < YOUNG_S else POLL_LATER_S)


def _run_answer(client: httpx.Client, base_url: str, query: str, run_id: str) -> dict[str, Any]:
    run: dict[str, Any] = _ask(base_url, query, {"id": run_id}, client=client)["runOrError"]
    if run["__typename"] != "Run":
        raise LaunchRefused(
            f"Dagster knows no run {run_id}: {run.get('message', 'it may have been deleted')}."
        )
    return run


def read_state(run_id: str, run: dict[str, Any]) -> RunState:
    """Turn Dagster's answer about a run into a `RunState`; unknown times stay None."""
    known = sorted(
        (s for s in run["stepStats"] if s["startTime"]), key=lambda s: (s["startTime"], s["stepKey"])
    )
    steps = tuple(
        StepTime(s["stepKey"], s["status"] or "IN_PROGRESS", _span(s["startTime"], s["endTime"]))
        for s in known
    )
    stats = run.get("stats") or {}
    asked = stats.get("enqueuedTime") or run.get("creationTime")
    begun = known[0]["startTime"] if known else None
    ended = stats.get("endTime") or run.get("endTime")
    return RunState(run_id, run["status"], steps, _span(asked, begun), _span(begun, ended))


def failures_of(base_url: str, run_id: str, *, timeout_s: float = REQUEST_S) -> list[str]:
    """Say in one sentence per failed step why a run failed, or what ended it if it came to no step."""
    said: list[str] = []
    of_run: list[str] = []
    cursor: str | None = None
    more = True
    while more:
        page = _ask(base_url, _FAILURES, {"id": run_id, "cursor": cursor}, timeout_s)["logsForRun"]
        said += [text for event in page.get("events", []) if (text := _sentence(event))]
        of_run += [e["message"] for e in page.get("events", []) if e["__typename"] == "RunFailureEvent"]
        cursor, more = page.get("cursor"), bool(page.get("hasMore"))
    return said or [" ".join(message.split())[:SENTENCE_MAX] for message in of_run if message]


def _sentence(event: dict[str, Any]) -> str | None:
    if event["__typename"] != "ExecutionStepFailureEvent" or not event.get("error"):
        return None
    error = event["error"]
    # Dagster's own error stands around the step's words, what a library said stands behind them.
    cause = error["causes"][0]["message"] if error.get("causes") else error["message"]
    words = " ".join(cause.split())
    # Dagster puts the class of the error before its text.
    head, found, text = words.partition(": ")
    plain = text if found and " " not in head and "." in head else words
    return f"{event['stepKey']}: {plain[:SENTENCE_MAX]}"


def _span(start: float | None, end: float | None) -> float | None:
    return max(0.0, end - start) if start and end else None


def _launch(
    base_url: str, job: str, keys: list[list[str]] | None, tags: list[dict[str, str]], timeout_s: float
) -> str:
    selector: dict[str, Any] = {
        "repositoryLocationName": LOCATION,
        "repositoryName": REPOSITORY,
        "pipelineName": job,
    }
    if keys is not None:
        selector |= {"assetSelection": [{"path": path} for path in keys], "assetCheckSelection": None}
    params = {
        "selector": selector,
        "mode": "default",
        "runConfigData": "{}",
        "executionMetadata": {"tags": tags},
    }
    answer = _ask(base_url, _LAUNCH, {"params": params}, timeout_s)["launchPipelineExecution"]
    if answer["__typename"] != "LaunchRunSuccess":
        problems = answer.get("message") or "; ".join(e["message"] for e in answer.get("errors", []))
        raise LaunchRefused(f"Dagster does not take the run: {problems or answer['__typename']}")
    return str(answer["run"]["runId"])


def _ask(
    base_url: str,
    query: str,
    variables: dict[str, Any],
    timeout_s: float = REQUEST_S,
    *,
    client: httpx.Client | None = None,
) -> dict[str, Any]:
    # a client of one request makes a TLS context of its own, which takes longer than the question
    post = client.post if client else httpx.post
    try:
        answer = post(f"{base_url}/graphql", json={"query": query, "variables": variables}, timeout=timeout_s)
        content = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise OrchestratorUnreachable(
            f"Dagster's webserver does not answer at {base_url} ({error}): start the system with "
            "`python3 run.py up` and try again."
        ) from error
    data = content.get("data") if isinstance(content, dict) else None
    if not data or (isinstance(content, dict) and content.get("errors")):
        raise LaunchRefused(
            f"Dagster's webserver at {base_url} refuses the question: {content.get('errors')}"
        )
    return dict(data)
