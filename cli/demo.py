"""The stages of ``up`` that run the main job on the sample market.

Each stage looks first at what an earlier run has left: whatever stands is used, so a second ``up`` is quick
and one that was interrupted goes on.
"""

import json
import threading
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from adapters.settings import Settings
from cli.database import open_engine, open_transaction
from cli.output import result_console, show_table
from cli.stage import Stage, UpContext
from cli.up_notify import people_stages
from cli.up_surfaces import LAUNCH, launch_surfaces
from propdesk.core.errors import PropdeskError
from runtime.process import tail

DAEMON: Final = "trading-daemon"
_APPLICATION: Final = "propdesk-up"
_POLL_S: Final = 0.5
_SOON_S: Final = 0.1
_REPLAY_LIMIT_S: Final = 900.0
_MASTER_SOURCE: Final = "sample"
_LEADERS_SHOWN: Final = 15
_RULES_SHOWN: Final = 12
_TRADES_SHOWN: Final = 20


class MainJobFailed(PropdeskError):
    """A part of the main job ended without its result."""


def stages(context: UpContext) -> Sequence[Stage]:
    """List the stages of the main job in their order.

    Parameters
    ----------
    context : UpContext
        Options say which days; see `cli.stage`.
    """
    days = context.options
    return (
        Stage("Generate the sample market and its advisors", _generate, "about 25 s, once"),
        Stage("Load the instrument master", _load_master, "about 2 s"),
        Stage("Ingest half a year of signals", _ingest, "about 10 s, once"),
        # They come up beside Dagster; a backfill needs the memory, then they come after it.
        Stage(LAUNCH, _launch_surfaces, "come up in the background", is_due=_is_backfilled),
        Stage(
            f"Backfill the nine steps over {days.first_day} to {days.last_day} as one queued run",
            _backfill,
            "about two minutes, once",
            needs_dagster=True,
        ),
        Stage("Report what was found", _report_rules),
        Stage(LAUNCH, _launch_surfaces, "come up in the background", is_due=lambda up: not up.api_url),
        *people_stages(context, _trading_settings(context).account_id),
        *_trading_stages(days.replay_day, days.broker),
        Stage("Report the day", _report_day),
    )


def _trading_stages(day: date, broker: str) -> tuple[Stage, ...]:
    if broker == "paper":
        return (Stage(f"Trade {day} on paper in accelerated replay", _replay, "about 25 s, once"),)
    from cli.demo_sandbox import compare_books, start_sandbox

    return (
        Stage("Start the local Dhan sandbox", start_sandbox, "about 10 s"),
        Stage(f"Trade {day} through the Dhan adapter at the sandbox", _replay, "about a minute"),
        Stage("Compare our books with the sandbox's truth", compare_books),
    )


def _sample_folder(context: UpContext) -> Path:
    return context.home.path / "sample"


def _in_own_process(context: UpContext, name: str, *words: str) -> dict[str, Any]:
    """Run one of our commands and return what it prints with ``--json``.

    In a process of its own: what numba and its like take of the memory ends with it, while ``up`` stays.
    """
    from cli.processes import python_spec

    spec = python_spec(
        name, ["cli", *words, "--json"], context.home, context.settings, lambda: None, restart=False
    )
    context.supervisor.start(spec)
    pause = threading.Event()
    while any(one.name == name and one.state == "running" for one in context.supervisor.status()):
        pause.wait(_SOON_S)
    context.supervisor.stop(name)  # `status` lists what is there, not what there was
    lines = spec.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        printed: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError) as error:
        raise MainJobFailed(f"`propdesk {' '.join(words)}` failed: {tail(spec.log_file)}") from error
    return printed


def _generate(context: UpContext) -> None:
    options, settings = context.options, context.settings
    folder = _sample_folder(context)
    wanted = {
        "first": options.first_day.isoformat(),
        "last": options.last_day.isoformat(),
        "replay_day": options.replay_day.isoformat(),
        "per_day": options.per_day,
        "seed": settings.seed,
        "store": settings.price_store_url,
    }
    made = folder / "made.json"
    if made.exists() and json.loads(made.read_text(encoding="utf-8")) == wanted:
        context.say("  the sample is there already")
        return
    context.facts["changed"] = True
    files = _in_own_process(
        context, "sample-market", "market", "generate", "--out", str(folder),
        "--store", settings.price_store_url, "--first", options.first_day.isoformat(),
        "--last", options.last_day.isoformat(), "--replay-day", options.replay_day.isoformat(),
        "--seed", str(settings.seed), "--per-day", str(options.per_day),
    )  # fmt: skip
    made.write_text(json.dumps(wanted), encoding="utf-8")
    context.say(
        f"  {files['count_signals']} ideas and {files['count_followups']} follow-ups in {files['signals']}; "
        f"{files['count_bars']} minute bars in {files['store_url']}"
    )


def _load_master(context: UpContext) -> None:
    from adapters.db.repos.instruments import load_instruments
    from adapters.instruments import read_instrument_file

    if not context.facts.get("changed") and _is_ingested(context):
        context.say("  the master is loaded already")
        return
    master = read_instrument_file(_sample_folder(context) / "instruments.csv", context.options.first_day)
    with open_engine(context.settings, "pipeline", _APPLICATION) as engine:
        loaded = load_instruments(engine, master.instruments, _MASTER_SOURCE)
    context.say(f"  {len(master.instruments)} instrument rows, {loaded.added} of them new")


def _ingest(context: UpContext) -> None:
    if _is_ingested(context):
        context.say("  the file is ingested already")
        return
    signals = str(_sample_folder(context) / "signals.csv")
    taken = _in_own_process(context, "sample-signals", "ingest", signals, "--profile", "sample")
    context.facts["changed"] = True
    context.say(
        f"  {taken['rows_read']} rows read, {taken['rows_accepted']} accepted, "
        f"{taken['rows_revised']} revised, {taken['rows_quarantined']} quarantined"
    )


def _is_ingested(context: UpContext) -> bool:
    import hashlib

    from adapters.db.repos.uploads import is_uploaded

    with (_sample_folder(context) / "signals.csv").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with open_transaction(context.settings, "reader", _APPLICATION) as connection:
        return is_uploaded(connection, digest)


def _backfill(context: UpContext) -> None:
    from adapters.calendar import load_calendar
    from orchestration.launch import RunState, failures_of, launch_range, snap_range, wait_for

    if _is_backfilled(context):
        context.say("  the rule tables of the last day are there already")
        return
    first, last = snap_range(load_calendar(), context.options.first_day, context.options.last_day)
    seen: set[str] = set()

    def tell(state: RunState) -> None:
        for step in state.steps:
            if step.seconds is not None and step.name not in seen:
                seen.add(step.name)
                context.say(f"    {step.name}: {step.seconds:.1f} s")

    run_id = launch_range(context.webserver_url, first, last)
    context.say(f"  run {context.webserver_url}/runs/{run_id}")
    state = wait_for(context.webserver_url, run_id, tell)
    if state.status != "SUCCESS":
        reasons = "; ".join(failures_of(context.webserver_url, run_id)) or "see its page"
        raise MainJobFailed(f"The backfill ended as {state.status}: {reasons}")
    context.say(
        f"  queue, process start and planning {state.wait_s or 0:.1f} s, nine steps {state.work_s or 0:.1f} s"
    )


def _is_backfilled(context: UpContext) -> bool:
    from adapters.db.repos.pipeline import holds_marts

    if context.facts.get("changed"):
        return False
    last = _last_market_day(context)
    with open_transaction(context.settings, "reader", _APPLICATION) as connection:
        return holds_marts(connection, last)


def _report_rules(context: UpContext) -> None:
    from adapters.db.repos.rules import read_funnel, read_leaderboard, read_rules
    from cli.planted import Found, compare, read_truth
    from propdesk.model.enums import GateProfile

    as_of = _last_market_day(context)
    with open_transaction(context.settings, "reader", _APPLICATION) as connection:
        leaders = read_leaderboard(connection, as_of)
        rules = {profile: read_rules(connection, as_of, profile) for profile in GateProfile}
        funnels = {profile: read_funnel(connection, as_of, profile) for profile in GateProfile}
    show_table(
        f"Leaderboard at the end of {as_of} (first {_LEADERS_SHOWN})",
        ("advisor", "closed ideas", "win rate %", "post_mean_r", "prob_edge", "Sharpe", "MDD %", "trust"),
        [
            (
                leader.advisor_id,
                leader.n,
                leader.win_rate_pct,
                leader.post_mean_r,
                leader.prob_edge,
                leader.sharpe,
                leader.mdd_pct,
                leader.trust_flag,
            )
            for leader in leaders[:_LEADERS_SHOWN]
        ],
    )
    found = {x.advisor_id: Found(x.n_skill, x.post_mean_r, x.prob_edge) for x in leaders}
    _show_planted(compare(read_truth(_sample_folder(context) / "truth.json"), found))
    for profile in GateProfile:
        _show_rules(profile.value, rules[profile], funnels[profile])


def _last_market_day(context: UpContext) -> date:
    from adapters.calendar import load_calendar

    return load_calendar().market_days(context.options.first_day, context.options.last_day)[-1]


def _show_planted(verdict: Any) -> None:
    show_table(
        "Planted against found (points = true hit probability above chance)",
        ("advisor", "kind", "points", "closed ideas", "post_mean_r", "prob_edge"),
        [
            (
                planted.advisor_id,
                planted.kind,
                f"{planted.points * 100:+.1f}",
                found.closed if found else 0,
                found.post_mean_r if found else None,
                found.prob_edge if found else None,
            )
            for planted, found in verdict.rows
        ],
    )
    console = result_console()
    console.print(
        f"Rank correlation (Spearman) of true points and post_mean_r: {verdict.spearman:.3f}. "
        f"Weakest advisor with +20 points or more: {verdict.lowest_skilled:.3f} R, "
        f"strongest without skill: {verdict.highest_unskilled:.3f} R: "
        + ("every skilled one stands above." if verdict.is_separated else "NOT separated.")
    )


def _show_rules(profile: str, rules: Sequence[Any], funnel: Sequence[Any]) -> None:
    eligible = [rule for rule in rules if rule.passes]
    show_table(
        f"Profile {profile}: {len(eligible)} of {len(rules)} rules eligible (first {_RULES_SHOWN})",
        ("rule", "trades", "days", "post_mean_r", "prob_edge", "trust"),
        [
            (rule.rule_text, rule.n, rule.n_days, rule.post_mean_r, rule.prob_edge, rule.trust_flag)
            for rule in sorted(eligible, key=lambda rule: -rule.post_mean_r)[:_RULES_SHOWN]
        ],
    )
    show_table(
        f"Profile {profile}: rules by failed gate (a rule may fail several)",
        ("gate", "rules"),
        [(line.gate, line.failed) for line in funnel],
    )


def _replay(context: UpContext) -> None:
    from cli.processes import python_spec

    settings, day = _trading_settings(context), context.options.replay_day
    if context.options.broker == "paper" and _is_replayed(settings, day) and not context.facts.get("changed"):
        context.say("  the day is traded already")
        return
    words = [
        "cli", "trade", "--replay", day.isoformat(), "--speed", context.options.speed,
        "--signals", str(_sample_folder(context) / "replay_signals.jsonl"),
    ]  # fmt: skip
    if context.options.broker == "paper" and context.facts.get("changed"):
        words.append("--fresh")
    spec = python_spec(DAEMON, words, context.home, settings, lambda: None, env=context.daemon_env)
    context.supervisor.start(spec)
    pause, waited, was_ended = threading.Event(), 0.0, False
    while not _is_replayed(settings, day):
        status = next(s for s in context.supervisor.status() if s.name == DAEMON)
        # one that was killed is "ended" until the supervisor has seen it and starts it again
        is_over = status.state == "given_up" or (was_ended and status.state == "ended")
        was_ended = status.state == "ended"
        if is_over and not _is_replayed(settings, day):
            raise MainJobFailed(f"The trading daemon ended before the day did; its log is {spec.log_file}.")
        if waited > _REPLAY_LIMIT_S:
            raise MainJobFailed(f"The replay of {day} does not end; its log is {spec.log_file}.")
        pause.wait(_POLL_S)
        waited += _POLL_S


def _launch_surfaces(context: UpContext) -> None:
    launch_surfaces(context, _trading_settings(context).account_id)


def _trading_settings(context: UpContext) -> Settings:
    """Give the settings of the account that trades; a sandbox's orders never mix with those on paper."""
    from cli.demo_sandbox import sandbox_account

    own = context.settings
    if context.options.broker == "paper":
        return own
    return own.model_copy(update={"account_id": sandbox_account(own)})


def _is_replayed(settings: Settings, day: date) -> bool:
    from adapters.db.repos.replays import is_replayed

    with open_transaction(settings, "reader", _APPLICATION) as connection:
        return is_replayed(connection, settings.account_id, day)


def _report_day(context: UpContext) -> None:
    from adapters.db.repos.report import read_day_report
    from cli.trade import show_report

    account_id = _trading_settings(context).account_id
    with open_transaction(context.settings, "reader", _APPLICATION) as connection:
        report = read_day_report(connection, account_id, context.options.replay_day)
    show_report(report, most_trades=_TRADES_SHOWN)
    if report.trades:
        of_account = "" if account_id == context.settings.account_id else f" --account {account_id}"
        context.say(f"Why a trade was made: python3 run.py why {report.trades[0].signal_id}{of_account}")
