"""API and dashboard as parts of ``up``: their first user, their processes."""

from functools import partial
from typing import Final

from adapters.settings import ENV_PREFIX, Settings
from cli.database import open_transaction
from cli.processes import python_spec
from cli.stage import UpContext
from runtime.ports import LOOPBACK, PortBook

API: Final = "api"
UI: Final = "ui"
LAUNCH: Final = "Launch the API and the dashboard"
FIRST_LOGIN: Final = "admin"
_ANSWER_S: Final = 3.0


def launch_surfaces(context: UpContext, account_id: str) -> None:
    """Make the first user unless there is one, and launch both; `wait_for_surfaces` waits for them.

    Parameters
    ----------
    context : UpContext
    account_id : str
        Account whose books they show.
    """
    password = make_first_user(context.settings)
    if password is not None:
        who = f"first user of API and dashboard: {FIRST_LOGIN}, password {password}"
        context.say(f"  {who} (shown only this once)")
    settings, book = context.settings, PortBook(context.home)
    api = book.take(API, settings.api_port, f"{ENV_PREFIX}API_PORT")
    pages = book.take(UI, settings.ui_port, f"{ENV_PREFIX}UI_PORT")
    context.api_url, context.ui_url = f"http://{LOOPBACK}:{api}", f"http://{LOOPBACK}:{pages}"
    _launch(context, account_id, API, context.api_url, ["--port", str(api)])
    words = ["--port", str(pages), "--dagster", context.webserver_url]
    _launch(context, account_id, UI, context.ui_url, words)


def _launch(context: UpContext, account_id: str, name: str, url: str, words: list[str]) -> None:
    obstacle = partial(surface_obstacle, url)
    # Each thread that allocates gets an arena of its own otherwise, up to eight per processor.
    env = {f"{ENV_PREFIX}ACCOUNT_ID": account_id, "MALLOC_ARENA_MAX": "2"}
    words = ["cli", name, *words]
    context.supervisor.launch(python_spec(name, words, context.home, context.settings, obstacle, env=env))


def wait_for_surfaces(context: UpContext) -> None:
    """Wait until both answer."""
    for name in (API, UI):
        context.supervisor.wait_ready(name)
    context.say(f"  the API: {context.api_url}/api/v1/openapi.json")
    context.say(f"  the dashboard: {context.ui_url}")


def make_first_user(settings: Settings) -> str | None:
    """Add an administrator unless there is any user.

    Returns
    -------
    str or None
        The password, which is kept nowhere; None if there was a user.
    """
    from adapters.db.repos.users import add_first_user, read_users
    from adapters.passwords import Passwords, make_password
    from cli.users import command_actor

    with open_transaction(settings, "access", "propdesk-up") as connection:
        if read_users(connection):
            return None
        password = make_password()
        is_made = add_first_user(connection, FIRST_LOGIN, Passwords().hash(password), command_actor(settings))
    return password if is_made else None


def surface_obstacle(url: str) -> str | None:
    """Tell why the process at an address does not serve yet; None once it does."""
    import httpx

    try:
        answer = httpx.get(f"{url}/ready", timeout=_ANSWER_S)
    except httpx.HTTPError as error:
        return f"{url} does not answer ({error})"
    return None if answer.status_code == httpx.codes.OK else f"{url} is not ready ({answer.text})"
