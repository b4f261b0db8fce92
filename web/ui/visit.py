"""One open page: who looks at it, and how it reads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import psycopg
from anyio.to_thread import run_sync

from adapters.db.engine import begin
from adapters.db.repos.listings import Listing
from adapters.db.repos.overview import read_overview
from adapters.db.repos.pages import make_query, read_page
from adapters.db.repos.users import Session, read_session
from adapters.settings import Settings
from propdesk.model.user import UserRole
from web.api.events import Bell
from web.api.guard import require_role
from web.api.parts import Parts
from web.ui.readings import Readings

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
Row: TypeAlias = dict[str, Any]
T = TypeVar("T")


class SessionOver(Exception):
    """The person was logged out, or shut out, while a page was open."""


@dataclass(frozen=True, slots=True)
class House:
    """What every page of the process shares.

    Parameters
    ----------
    parts : Parts
        The API's own.
    listings : mapping of str to Listing
        The API's own, by name.
    bell : Bell
        Rings when the daemon has something to tell.
    settings : Settings
        Those of the pipeline tell which trades a rule was judged by.
    dagster_url : str or None
        Dagster's pages, where there are any that a browser reaches.
    readings : Readings
        What open pages read together.
    """

    parts: Parts
    listings: Mapping[str, Listing]
    bell: Bell
    settings: Settings
    dagster_url: str | None
    readings: Readings = field(default_factory=Readings)


@dataclass(frozen=True, slots=True)
class Visit:
    """A page in a browser; ``path`` and ``query`` are the words of its own ``address``."""

    house: House
    session: Session
    path: Mapping[str, str]
    query: Mapping[str, str]
    theme: str
    address: str

    def may(self, needed: UserRole) -> bool:
        """Tell whether the person's role includes another, as it was when the page was opened."""
        return self.session.role.includes(needed)

    async def read(self, reading: Callable[[Connection], T], needed: UserRole = UserRole.VIEWER) -> T:
        """Read as the reader, if the person still may.

        Parameters
        ----------
        reading : callable
            Takes the connection; runs in a thread.
        needed : UserRole
            The least role; read anew with each call, as the API does.

        Raises
        ------
        SessionOver
            If the session has ended.
        Problem
            If the role does not allow it (any more).
        """
        return await run_sync(self._read, reading, needed)

    async def share(self, key: str, reading: Callable[[Connection], T]) -> T:
        """Read what every viewer may see, once for all panels that ask for it at the same moment.

        Parameters
        ----------
        key : str
            Names the reading.
        reading : callable
            As for `read`; the same for everybody.
        """
        await run_sync(self._check, UserRole.VIEWER)
        house = self.house
        found: T = await house.readings.get(key, house.bell.ring, lambda: run_sync(self._look, reading))
        return found

    async def overview(self) -> dict[str, Any]:
        """Read the state of the account."""
        parts = self.house.parts
        return await self.share("overview", lambda c: read_overview(c, parts.account_id, parts.now()))

    async def act(self, acting: Callable[[Session], T], needed: UserRole) -> T:
        """Do something in the person's name, if the person still may; raises what `read` raises.

        Parameters
        ----------
        acting : callable
            Takes the session as it is now; runs in a thread.
        needed : UserRole
            The least role.
        """
        return await run_sync(lambda: acting(self._check(needed)))

    def _read(self, reading: Callable[[Connection], T], needed: UserRole) -> T:
        self._check(needed)
        return self._look(reading)

    def _check(self, needed: UserRole) -> Session:
        parts = self.house.parts
        with begin(parts.access) as connection:
            session = read_session(connection, self.session.session_id, parts.now())
        if session is None:
            raise SessionOver
        require_role(session, needed)
        return session

    def _look(self, reading: Callable[[Connection], T]) -> T:
        with begin(self.house.parts.reader) as connection:
            return reading(connection)

    async def rows(self, name: str, *filters: str, sort: str | None = None, limit: int = 100) -> list[Row]:
        """Read the first rows of a listing."""
        listing = self.house.listings[name]
        query = make_query(listing, filters=filters, sort=sort, limit=limit)
        account = self.house.parts.account_id
        return await self.read(lambda c: read_page(c, query, account).rows, listing.role)
