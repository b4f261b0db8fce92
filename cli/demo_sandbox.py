"""The stages of ``up --broker sandbox``: a local Dhan in place of the paper exchange."""

import json
from pathlib import Path
from typing import Final

from adapters.settings import ENV_PREFIX, Settings
from cli.stage import UpContext
from propdesk.core.errors import PropdeskError

SANDBOX: Final = "sandbox"


class BooksDiffer(PropdeskError):
    """Our books are not what the sandbox knows to be true."""


def sandbox_account(settings: Settings) -> str:
    """Name the account whose books hold what is traded at the sandbox."""
    return f"{settings.account_id}-{SANDBOX}"


def start_sandbox(context: UpContext) -> None:
    """Start the sandbox with the day's prices and let the daemon's account begin the day anew.

    What an earlier sandbox knew of the day has ended with it, so the books must not know more.
    """
    from cli.processes import python_spec
    from cli.sandbox import control
    from runtime.ports import PortBook
    from sandbox.knobs import knobs_from
    from sandbox.server import addresses

    home, settings, day = context.home, context.settings, context.options.replay_day
    place = f"127.0.0.1:{PortBook(home).take(SANDBOX)}"
    # time stands still while calls are made, so any rate would be exceeded
    values = {"rate_limits": False, "seed": settings.seed, "funds_paise": settings.corpus_paise}
    knobs = knobs_from(values)
    folder = home.path / SANDBOX
    folder.mkdir(exist_ok=True)
    (folder / "knobs.json").write_text(json.dumps(values), encoding="utf-8")
    truth = folder / f"truth-{day}.jsonl"
    truth.unlink(missing_ok=True)
    words = [
        "cli", "sandbox", "run", "--day", day.isoformat(), "--start", "08:45", "--speed", "0",
        "--store", settings.price_store_url, "--master", str(home.path / "sample" / "instruments.csv"),
        "--knobs", str(folder / "knobs.json"), "--ledger", str(truth), "--port", place.rpartition(":")[2],
    ]  # fmt: skip

    def ready() -> str | None:
        try:
            control(place, "GET", "/status")
        except PropdeskError as fault:
            return str(fault)
        return None

    # It is not started again by itself: what it knew would be gone, and the books would be alone.
    context.supervisor.start(python_spec(SANDBOX, words, home, settings, ready, restart=False))
    own = {
        "broker": "dhan",
        "account_id": sandbox_account(settings),
        "dhan_client_id": knobs.client_id,
        "dhan_pin": knobs.pin,
        "dhan_totp_secret": knobs.totp_secret,
        **addresses(place),
    }
    context.daemon_env = {f"{ENV_PREFIX}{name.upper()}": value for name, value in own.items()}
    context.facts["sandbox"] = place
    _forget(context)
    context.say(f"  it serves at {place}; its truth is kept in {truth}")


def _forget(context: UpContext) -> None:
    from trading_daemon.session import plan_replay
    from trading_daemon.signal_files import read_signal_file

    settings, day = context.settings, context.options.replay_day
    account = settings.model_copy(update={"account_id": sandbox_account(settings)})
    signals: Path = context.home.path / "sample" / "replay_signals.jsonl"
    plan_replay(account, day, read_signal_file(signals), fresh=True)


def compare_books(context: UpContext) -> None:
    """Compare our books of the day with the sandbox's truth, line by line.

    Raises
    ------
    BooksDiffer
        If a line differs.
    """
    from cli.reconcile import differences, read_lines

    settings, day = context.settings, context.options.replay_day
    lines = read_lines(settings, sandbox_account(settings), day, str(context.facts["sandbox"]))
    wrong = differences(lines)
    if wrong:
        raise BooksDiffer(f"{len(wrong)} of {len(lines)} legs differ from the sandbox's truth: {wrong[0]}.")
    context.say(f"  {len(lines)} filled legs, each as the sandbox knows it to the paisa")
