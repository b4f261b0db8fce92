"""``propdesk users``: who may use the API and its pages."""

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.clock import SystemClock
from adapters.settings import Settings, load_settings
from cli.database import open_transaction
from cli.output import JsonOption, emit, say, show_table
from propdesk.core.clock import from_ns
from propdesk.model.user import UserRole, require_login, require_password

if TYPE_CHECKING:
    from adapters.db.repos.users import Actor

_Login = Annotated[str, typer.Argument(help="Name to log in by.")]
_FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input; else one is made.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    users = typer.Typer(no_args_is_help=True, help="Who may use the API and its pages.")
    app.add_typer(users, name="users")

    @users.command(name="list")
    def list_users(as_json: JsonOption = False) -> None:
        """Show every user with role and last login."""
        from adapters.db.repos.users import read_users

        with open_transaction(load_settings(), "access", "propdesk-users") as connection:
            found = read_users(connection)
        if as_json:
            emit({"users": [asdict(user) for user in found]})
            return
        show_table(
            f"{len(found)} users",
            ("login", "role", "disabled", "created by", "created", "last login"),
            [
                (u.login, u.role, "yes" if u.is_disabled else "", u.created_by, u.created_at, u.last_login_at)
                for u in found
            ],
        )

    @users.command()
    def add(
        login: _Login,
        role: Annotated[UserRole, typer.Option(case_sensitive=False)] = UserRole.VIEWER,
        password_stdin: _FromStdin = False,
    ) -> None:
        """Add a user; the password made for it is printed once."""
        from adapters.db.repos.users import add_user

        password = _password(from_stdin=password_stdin)
        digest = _hash(password)
        with _changing() as (connection, actor):
            add_user(connection, require_login(login), role, digest, actor)
        say(f"Added {login} as {role}.")
        _show(password, from_stdin=password_stdin)

    @users.command()
    def password(login: _Login, password_stdin: _FromStdin = False) -> None:
        """Set a new password, which ends every session and lock of the user."""
        from adapters.db.repos.users import set_password

        chosen = _password(from_stdin=password_stdin)
        digest = _hash(chosen)
        with _changing() as (connection, actor):
            set_password(connection, login, digest, actor)
        say(f"{login} has a new password.")
        _show(chosen, from_stdin=password_stdin)

    @users.command()
    def role(
        login: _Login, role: Annotated[UserRole, typer.Argument(case_sensitive=False, help="The new role.")]
    ) -> None:
        """Give a user another role, at once."""
        from adapters.db.repos.users import set_role

        with _changing() as (connection, actor):
            set_role(connection, login, role, actor)
        say(f"{login} is {role} now.")

    _register_doors(users)


def _register_doors(users: typer.Typer) -> None:
    @users.command()
    def disable(login: _Login) -> None:
        """Close the door to a user and end every session."""
        from adapters.db.repos.users import set_disabled

        with _changing() as (connection, actor):
            set_disabled(connection, login, actor, is_disabled=True)
        say(f"{login} is disabled.")

    @users.command()
    def enable(login: _Login) -> None:
        """Open the door again."""
        from adapters.db.repos.users import set_disabled

        with _changing() as (connection, actor):
            set_disabled(connection, login, actor, is_disabled=False)
        say(f"{login} may log in.")

    @users.command()
    def unlock(login: _Login) -> None:
        """Forget the failed logins of a user."""
        from adapters.db.repos.users import unlock as forget

        with _changing() as (connection, actor):
            forget(connection, login, actor)
        say(f"{login} may try again.")


@contextmanager
def _changing() -> "Iterator[tuple[Any, Actor]]":
    settings = load_settings()
    with open_transaction(settings, "access", "propdesk-users") as connection:
        yield connection, command_actor(settings)


def command_actor(settings: Settings) -> "Actor":
    """Name the person at the command line, for the audit log."""
    from adapters.db.repos.users import Actor

    return Actor(f"cli:{getpass.getuser()}", settings.account_id, from_ns(SystemClock().now_ns()))


def _password(*, from_stdin: bool) -> str:
    from adapters.passwords import make_password

    if not from_stdin:
        return make_password()
    return require_password(sys.stdin.readline().rstrip("\r\n"))


def _hash(password: str) -> str:
    from adapters.passwords import Passwords

    return Passwords().hash(password)


def _show(password: str, *, from_stdin: bool) -> None:
    if not from_stdin:
        say("The password, shown only here:")
        sys.stdout.write(password + "\n")
