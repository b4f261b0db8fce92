"""What surrounds every page: way about, clock, person, connection, warnings about old data."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from nicegui import APIRouter, ui

from adapters.db.repos.users import Session
from propdesk.model.user import UserRole
from web.ui import formats
from web.ui.panel import Panel
from web.ui.people import admitted
from web.ui.visit import House, Visit
from web.ui.widgets import empty

STALE_S: Final = 30.0
"""A daemon that gave no sign of life for so long is not at work (it beats every few seconds)."""
THEME_COOKIE: Final = "propdesk_theme"
_THEMES: Final = {"light": False, "dark": True}
_BUILD_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class PageSpec:
    """A page: where it is, what it is called, who may see it, what it holds.

    ``menu`` is its name in the navigation; None for pages that one gets to from another.
    """

    path: str
    title: str
    build: Callable[[Visit], Awaitable[None]]
    role: UserRole = UserRole.VIEWER
    menu: str | None = None


def add_page(router: APIRouter, house: House, spec: PageSpec, menu: tuple[PageSpec, ...]) -> None:
    """Add a page behind the door and inside the frame."""

    @router.page(spec.path, title=f"{spec.title} · propdesk", response_timeout=_BUILD_S)
    async def show(request: Request, session: Annotated[Session, Depends(admitted(house.parts))]) -> None:
        theme = request.cookies.get(THEME_COOKIE, "")
        address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        visit = Visit(house, session, request.path_params, dict(request.query_params), theme, address)
        main = _frame(visit, spec, menu)
        with main:
            if visit.may(spec.role):
                await spec.build(visit)
            else:
                empty(f"This page needs the role {spec.role}; yours is {session.role}.")


def _frame(visit: Visit, spec: PageSpec, menu: tuple[PageSpec, ...]) -> ui.element:
    ui.dark_mode(_THEMES.get(visit.theme))
    ui.add_head_html(
        '<link rel="stylesheet" href="/static/style.css"><script src="/static/page.js"></script>'
    )
    ui.link("Skip to the content", "#content").classes("skip")
    drawer = (
        ui.left_drawer(value=False, bordered=True)
        .props('show-if-above width="210" breakpoint="900"')
        .classes("menu")
    )
    with ui.header().classes("top"):
        ui.button(icon="menu", on_click=drawer.toggle).props('flat dense aria-label="Menu"')
        ui.link("propdesk", "/").classes("brand")
        ui.label("…").classes("clock").tooltip("Indian Standard Time, UTC+05:30")
        ui.element("div").classes("space")
        ui.label("connecting").props('role="status"').classes("link")
        theme = ui.button(icon="contrast").props('flat dense aria-label="Light, dark or as the system"')
        theme.on("click", js_handler="() => propdesk.turnTheme()")
        theme.tooltip("Light, dark or as the system")
    with drawer, ui.element("nav").props('aria-label="Pages"'):
        for page in menu:
            if page.menu is not None and visit.may(page.role):
                link = ui.link(page.menu, page.path).classes("menu-item")
                if page.path == spec.path:
                    link.classes("here").props('aria-current="page"')
        if visit.house.dagster_url is not None:
            ui.link("Dagster ↗", visit.house.dagster_url, new_tab=True).classes("menu-item")
        ui.label(f"{visit.session.login} · {visit.session.role.lower()}").classes("who")
        form = ui.element("form").props('method="post" action="/logout"')
        with form, ui.element("button").props("type=submit"):
            ui.label("Log out")
    main = ui.element("div").props('id="content" tabindex="-1"').classes("content")  # within NiceGUI's <main>
    with main:
        with ui.element("h1"):
            ui.label(spec.title)
        _warnings(visit)
    return main


def _warnings(visit: Visit) -> None:
    """Say above everything what is out of date, and which kill levels stand."""

    async def read() -> list[tuple[str, str]]:
        return warnings_of(await visit.overview())

    def draw(found: list[tuple[str, str]]) -> None:
        for tone, sentence in found:
            ui.label(sentence).classes(f"box {tone}").props('role="status"')

    Panel(visit, read, draw, is_live=True)


def warnings_of(overview: dict[str, Any]) -> list[tuple[str, str]]:
    """Give tone and sentence of everything a person must know before reading any number.

    Parameters
    ----------
    overview : dict
        Of `read_overview`.
    """
    found: list[tuple[str, str]] = []
    for level in overview["risk_levels"]:
        who = f"since {formats.moment_ns(level['raised_ns'])}, by {level['actor']}"
        found.append(("fault", f"{level['level']} for {level['scope']} {who}: {level['reason']}"))
    if not overview["heartbeats"]:
        found.append(("stale", "The trading daemon has never run on this account: nothing here is live."))
    for beat in overview["heartbeats"]:
        if beat["age_s"] > STALE_S:
            last = f"{formats.moment(beat['beat_at'])}, {formats.age(beat['age_s'])} ago"
            found.append(
                ("stale", f"Out of date: the last sign of life of {beat['component']} was at {last}.")
            )
    return found
