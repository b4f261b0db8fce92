"""The notifier as a part of ``up``: it runs where somebody is to be told."""

from dataclasses import replace
from typing import Final

from adapters.settings import ENV_PREFIX, Settings
from cli.database import open_transaction
from cli.processes import python_spec
from cli.stage import Stage, UpContext
from propdesk.core.errors import PropdeskError
from runtime.process import StartFault

NOTIFIER: Final = "notifier"


def notifier_stages(context: UpContext, account_id: str) -> tuple[Stage, ...]:
    """Give the stage that launches the notifier, where somebody is to be told."""
    if not context.settings.tells_people:
        return ()
    return (
        Stage(
            "Launch the notifier",
            lambda later: launch_notifier(later, account_id),
            "comes up in the background",
        ),
    )


def launch_notifier(context: UpContext, account_id: str) -> None:
    """Launch the notifier; `wait_for_notifier` waits for it.

    Parameters
    ----------
    context : UpContext
    account_id : str
        Account whose events it sends.
    """
    settings = context.settings
    spec = python_spec(
        NOTIFIER, ["cli", "notify"], context.home, settings, lambda: notifier_obstacle(settings)
    )
    context.supervisor.launch(replace(spec, env={**spec.env, f"{ENV_PREFIX}ACCOUNT_ID": account_id}))


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
