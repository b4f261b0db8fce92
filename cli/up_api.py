"""The API as a part of ``up``: its first user, its process."""

from dataclasses import replace
from typing import Final

from adapters.settings import ENV_PREFIX, Settings
from cli.database import open_transaction
from cli.processes import python_spec
from cli.stage import UpContext
from runtime.ports import LOOPBACK, PortBook

API: Final = "api"
LAUNCH_API: Final = "Launch the API"
FIRST_LOGIN: Final = "admin"
_ANSWER_S: Final = 3.0


def launch_api(context: UpContext, account_id: str) -> None:
    """Make the first user unless there is one, and launch the API; `wait_for_api` waits for it.

    Parameters
    ----------
    context : UpContext
    account_id : str
        Account whose books it shows.
    """
    password = make_first_user(context.settings)
    if password is not None:
        context.say(f"  first user of the API: {FIRST_LOGIN}, password {password} (shown only this once)")
    port = PortBook(context.home).take(API, context.settings.api_port, f"{ENV_PREFIX}API_PORT")
    context.api_url = f"http://{LOOPBACK}:{port}"
    words = ["cli", API, "--port", str(port)]
    spec = python_spec(API, words, context.home, context.settings, lambda: api_obstacle(context.api_url))
    # Each thread that allocates gets an arena of its own otherwise, up to eight per processor.
    env = {**spec.env, f"{ENV_PREFIX}ACCOUNT_ID": account_id, "MALLOC_ARENA_MAX": "2"}
    context.supervisor.launch(replace(spec, env=env))


def wait_for_api(context: UpContext) -> None:
    """Wait until the API answers."""
    context.supervisor.wait_ready(API)
    context.say(f"  the API: {context.api_url}/api/v1/openapi.json")


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


def api_obstacle(url: str) -> str | None:
    """Tell why the API does not serve yet; None once it does."""
    import httpx

    try:
        answer = httpx.get(f"{url}/ready", timeout=_ANSWER_S)
    except httpx.HTTPError as error:
        return f"the API does not answer ({error})"
    return None if answer.status_code == httpx.codes.OK else f"the API is not ready ({answer.text})"
