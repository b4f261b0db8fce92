"""The stages of ``up``: what each is given and how it is described."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from adapters.settings import Settings
from runtime.home import Home
from runtime.servers import ServerSet
from runtime.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What a person asked of ``up``.

    Parameters
    ----------
    exit_after : bool
        End after the report instead of staying up.
    first_day, last_day : date
        Range of the sample market that is generated and backfilled.
    replay_day : date
        Market day that the daemon replays.
    per_day : int
        Ideas a day.
    speed : str
        Speed of the replay.
    servers_only : bool
        Run no sample market.
    broker : {"paper", "sandbox"}
        Where the replayed day is traded.
    """

    exit_after: bool
    first_day: date
    last_day: date
    replay_day: date
    per_day: int
    speed: str = "max"
    servers_only: bool = False
    broker: str = "paper"


@dataclass(slots=True)
class UpContext:
    """What the stages of ``up`` share; fields are filled as the stages go by.

    Parameters
    ----------
    home : Home
    settings : Settings
        Read again once the servers run, so that it carries their addresses.
    options : UpOptions
    supervisor : Supervisor
        Every process that ``up`` starts is started by it: it restarts and finally ends them.
    servers : ServerSet
    say : callable
        Tells one sentence of progress.
    webserver_url : str
        Dagster's pages; empty until they are launched.
    api_url : str
        The API; empty until it is launched.
    ui_url : str
        The dashboard; empty until it is launched.
    seconds : dict
        How long each finished stage took, by title, s.
    daemon_env : dict
        Settings of the trading daemon besides those of everything else, by variable.
    facts : dict
        What a stage leaves for a later one or for the closing lines, by name.
    """

    home: Home
    settings: Settings
    options: UpOptions
    supervisor: Supervisor
    servers: ServerSet
    say: Callable[[str], None]
    webserver_url: str = ""
    api_url: str = ""
    ui_url: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    daemon_env: dict[str, str] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of ``up``.

    Parameters
    ----------
    title : str
        Shown while it runs, e.g. ``Ingest the sample signals``.
    run : callable
        Does the work; raises `PropdeskError` with one sentence when it cannot.
    about : str
        How long it takes in words, e.g. ``about 10 s``; shown with the title.
    needs_dagster : bool
        Run only once Dagster answers; the first such stage makes ``up`` wait for it.
    is_due : callable
        Asked when its turn comes; a stage that is not due is passed over.
    """

    title: str
    run: Callable[[UpContext], None]
    about: str = ""
    needs_dagster: bool = False
    is_due: Callable[[UpContext], bool] = lambda context: True
