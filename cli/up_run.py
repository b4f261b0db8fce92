"""What ``propdesk up`` does: its stages, its signals, its end."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import Final

from adapters.settings import load_settings
from cli.output import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK, say
from cli.processes import DAGSTER_NAMES, dagster_specs
from cli.stage import Stage, UpContext, UpOptions
from cli.up_notify import people_stages, wait_for_notifier
from cli.up_surfaces import LAUNCH, launch_surfaces, wait_for_surfaces
from runtime.home import Home
from runtime.servers import ServerSet
from runtime.supervisor import Supervisor, claim, claimant, end_left_behind

LOCK: Final = "up"


class StopAsked(BaseException):
    """A signal asked us to stop; unwinds like an interrupt, so that everything we started is stopped."""


def run_up(options: UpOptions) -> int:
    """Run ``up`` and return its exit code."""
    # What a person set; a server that has an address there is not started here.
    settings = load_settings(runtime=False)
    home = Home(settings.home)
    home.create()
    with home.lock(LOCK) as ours:
        if not ours:
            return _already_runs(home, options)
        with _signals() as stop:
            claim(home, os.getpid())
            end_left_behind(home, report=say)
            supervisor = Supervisor(home, say)
            servers = ServerSet(home, settings, supervisor=supervisor, report=say)
            context = UpContext(home, settings, options, supervisor, servers, say)
            staying = False
            try:
                _run_stages(context)
                staying = not options.exit_after
                if staying:
                    _stay(context, stop)
            except (KeyboardInterrupt, StopAsked):
                if not staying:
                    say("Stopped before the end; the next `up` goes on with what is there.")
                    return EXIT_INTERRUPTED
            finally:
                # From here on a second signal must not leave something running.
                stop.closing = True
                say("Stopping every process that was started.")
                supervisor.stop_all()
    say("Stopped. Data stays in " + str(home.path) + ".")
    return EXIT_OK


def _already_runs(home: Home, options: UpOptions) -> int:
    running = claimant(home)
    name = f"pid {running.pid}" if running else "another process"
    say(f"propdesk already runs for this clone ({name}); `python3 run.py status` shows it, `down` stops it.")
    return EXIT_FAILURE if options.exit_after else EXIT_OK


def _run_stages(context: UpContext) -> None:
    begun = time.monotonic()
    stages = [
        Stage("Start the servers", _start_servers, "about 2 s"),
        Stage("Bring the database to the newest schema", _migrate, "about 2 s"),
        Stage("Launch Dagster", _launch_dagster, "comes up in the background"),
        *_sample_stages(context),
    ]
    answered = False
    for stage in stages:
        if not stage.is_due(context):
            continue
        if stage.needs_dagster and not answered:
            _run(context, _DAGSTER_ANSWERS)
            answered = True
        _run(context, stage)
    if not answered:
        _run(context, _DAGSTER_ANSWERS)
    _run(context, Stage("Wait until API and dashboard answer", wait_for_surfaces))
    if context.settings.tells_people:
        _run(context, Stage("Wait until the notifier sends", wait_for_notifier))
    context.supervisor.note("ready", True)
    context.say(f"All done after {time.monotonic() - begun:.1f} s.")


def _sample_stages(context: UpContext) -> Sequence[Stage]:
    if context.options.servers_only:
        account = context.settings.account_id
        return (
            Stage(LAUNCH, lambda context: launch_surfaces(context, account), "come up in the background"),
            *people_stages(context, account),
        )
    from cli.demo import stages

    return stages(context)


def _run(context: UpContext, stage: Stage) -> None:
    about = f" ({stage.about})" if stage.about else ""
    context.say(f"▸ {stage.title}{about}")
    # For `status`, which is asked when this takes its time.
    context.supervisor.note("stage", stage.title)
    begun = time.monotonic()
    stage.run(context)
    seconds = time.monotonic() - begun
    context.seconds[stage.title] = seconds
    context.say(f"  done in {seconds:.1f} s")


def _start_servers(context: UpContext) -> None:
    context.servers.start()
    # Once more, now that the servers' addresses are known.
    context.settings = load_settings()


def _migrate(context: UpContext) -> None:
    from adapters.db.migrate import upgrade

    upgrade(context.settings.database_url())


def _launch_dagster(context: UpContext) -> None:
    from orchestration.left_behind import fail_left_behind

    specs, address = dagster_specs(context.home, context.settings)
    for run_id in fail_left_behind(context.settings.dagster_home, context.settings):
        context.say(f"  run {run_id} was cut off by an earlier stop; recorded as failed")
    for spec in specs:
        context.supervisor.launch(spec)
    context.webserver_url = address


def _wait_for_dagster(context: UpContext) -> None:
    for name in DAGSTER_NAMES:
        context.supervisor.wait_ready(name)
    context.say(f"  Dagster's pages: {context.webserver_url}")


_DAGSTER_ANSWERS: Final = Stage(
    "Wait until Dagster answers", _wait_for_dagster, "about 10 s after its launch"
)


def _stay(context: UpContext, stop: "_Stop") -> None:
    context.say(f"Dashboard: {context.ui_url}")
    context.say(f"Dagster: {context.webserver_url}")
    context.say(f"API: {context.api_url}/api/v1/openapi.json")
    context.say(f"Upload folder (drop a CSV): {context.settings.upload_dir}")
    context.say(f"Logs: {context.home.logs}")
    context.say("Everything is up. Ctrl-C stops it all.")
    stop.asked.wait()


class _Stop:
    """Whether somebody asked to stop, and whether we are stopping already."""

    def __init__(self) -> None:
        self.asked = Event()
        self.closing = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.closing:
            return
        self.closing = True
        self.asked.set()
        raise StopAsked(signal.Signals(number).name)


@contextmanager
def _signals() -> Iterator[_Stop]:
    """Turn SIGINT, SIGTERM and SIGHUP into `StopAsked`, once."""
    stop = _Stop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.signal(number, stop.handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
