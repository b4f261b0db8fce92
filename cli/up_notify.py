"""Notifier and Telegram door as parts of ``up``: each runs where somebody is to be told, or may ask."""

from functools import partial
from typing import Final

from adapters.settings import ENV_PREFIX, Settings
from cli.database import open_transaction
from cli.processes import python_spec
from cli.stage import Stage, UpContext
from propdesk.core.errors import PropdeskError
from runtime.process import StartFault

NOTIFIER: Final = "notifier"
TELEGRAM_DOOR: Final = "telegram"


def people_stages(context: UpContext, account_id: str) -> tuple[Stage, ...]:
    """Give the stages that launch the notifier and the Telegram door, each where somebody uses it."""
    launched: list[Stage] = []
    for title, is_wanted, launch in (
        ("Launch the notifier", context.settings.tells_people, launch_notifier),
        ("Open the Telegram door", context.settings.hears_people, launch_telegram_door),
    ):
        if is_wanted:
            launched.append(
                Stage(title, partial(launch, account_id=account_id), "comes up in the background")
            )
    return tuple(launched)


def launch_telegram_door(context: UpContext, account_id: str) -> None:
    """Launch the process that answers people by Telegram.

    Parameters
    ----------
    context : UpContext
    account_id : str
        Account that it shows and commands.
    """
    words, env = ["cli", "telegram"], {f"{ENV_PREFIX}ACCOUNT_ID": account_id}
    context.supervisor.launch(
        python_spec(TELEGRAM_DOOR, words, context.home, context.settings, lambda: None, env=env)
    )
    context.say(f"  who may ask: {', '.join(sorted(set(context.settings.telegram_people.values())))}")


def launch_notifier(context: UpContext, account_id: str) -> None:
    """Launch the notifier; `wait_for_notifier` waits for it.

    Parameters
    ----------
    context : UpContext
    account_id : str
        Account whose events it sends.
    """
    settings = context.settings
    words, env = ["cli", "notify"], {f"{ENV_PREFIX}ACCOUNT_ID": account_id}
    obstacle = partial(notifier_obstacle, settings)
    context.supervisor.launch(python_spec(NOTIFIER, words, context.home, settings, obstacle, env=env))


def wait_for_notifier(context: UpContext) -> None:
    """Wait until the notifier serves; one that does not is told of and holds up nothing."""
    try:
        context.supervisor.wait_ready(NOTIFIER)
    except StartFault as fault:
        context.say(f"  nobody is told by message: {fault}")
        return
    context.say(f"  told by message: {', '.join(context.settings.notify_recipients)}")


def notifier_obstacle(settings: Settings) -> str | None:
    """Tell why the notifier does not serve yet; None once it holds the lead."""
    import psycopg

    from trading_daemon.notifier import LEAD_APPLICATION

    try:
        with open_transaction(settings, "notifier", "propdesk-up") as connection:
            row = connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = %s", (LEAD_APPLICATION,)
            ).fetchone()
    except (PropdeskError, psycopg.Error) as error:
        return f"the database does not answer ({error})"
    return None if row else "the notifier has not begun"
