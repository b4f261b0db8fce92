"""The door: a page without scripts, and the forms behind it."""

import html
import re
from typing import Annotated, Final
from urllib.parse import quote

from anyio.to_thread import run_sync
from fastapi import APIRouter, Cookie, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from propdesk.model.user import LOGIN_PATTERN, PASSWORD_LENGTH_MAX
from web.api.login import address, log_in
from web.api.parts import Parts
from web.api.problems import Problem
from web.ui.people import COOKIE, is_behind_tls, is_own_form, keep, leave

PATH: Final = "/login"
_NEXT_LENGTH_MAX: Final = 500


def login_router(parts: Parts) -> APIRouter:
    """Make the routes of logging in and out."""
    router = APIRouter(include_in_schema=False)

    @router.get(PATH)
    def form(next: str = "/") -> Response:
        """Show the form."""
        return _page(_own_path(next))

    @router.post(PATH)
    async def enter(
        request: Request,
        login: Annotated[str, Form()] = "",
        password: Annotated[str, Form()] = "",
        next: Annotated[str, Form()] = "/",
        token: Annotated[str | None, Cookie(alias=COOKIE)] = None,
    ) -> Response:
        """Open a session under a new id; one that the browser had before ends."""
        target = _own_path(next)
        if not is_own_form(request):
            return _page(target, "This form was sent by another site.", 403)
        if not re.fullmatch(LOGIN_PATTERN, login) or not 0 < len(password) <= PASSWORD_LENGTH_MAX:
            return _page(target, "Login and password do not belong together.", 401)
        try:
            session = await log_in(parts, login, password, address(request))
        except Problem as problem:
            return _page(target, problem.detail, problem.status)
        await run_sync(leave, parts, token)
        answer = RedirectResponse(target, 303)
        keep(parts, answer, session, is_secure=is_behind_tls(request))
        return answer

    @router.post("/logout")
    def logout(request: Request, token: Annotated[str | None, Cookie(alias=COOKIE)] = None) -> Response:
        """End the session."""
        if is_own_form(request):
            leave(parts, token)
        answer = RedirectResponse(PATH, 303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    return router


def login_address(path: str, query: str = "") -> str:
    """Give the address that leads through the door to a page."""
    target = f"{path}?{query}" if query else path
    return PATH if target == "/" else f"{PATH}?next={quote(target, safe='')}"


def _own_path(target: str) -> str:
    """Keep to pages of ours: two slashes, or a slash and a backslash, lead to other machines."""
    is_ours = re.fullmatch(r"/(?![/\\])[\x21-\x7e]*", target) and len(target) <= _NEXT_LENGTH_MAX
    return target if is_ours and "\\" not in target else "/"


def _page(target: str, fault: str = "", status: int = 200) -> HTMLResponse:
    shown = f'<p role="alert" class="fault">{html.escape(fault)}</p>' if fault else ""
    form = _FORM.format(fault=shown, target=html.escape(target, quote=True))
    body = _FRAME.format(title="Log in · propdesk", main=form)
    return HTMLResponse(body, status, {"Cache-Control": "no-store"})


def notice(sentence: str) -> str:
    """Write a page without scripts that says one thing and leads to the first page."""
    said = f'<p role="alert">{html.escape(sentence)}</p>\n<p><a href="/">To the first page</a></p>'
    return _FRAME.format(title="propdesk", main=said)


_FRAME: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/static/style.css">
</head>
<body class="door">
<main>
<h1>propdesk</h1>
{main}
</main>
</body>
</html>
"""
_FORM: Final = """{fault}
<form method="post" action="/login">
<input type="hidden" name="next" value="{target}">
<label>Login <input name="login" autocomplete="username" required autofocus maxlength="64"></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button type="submit">Log in</button>
</form>
<p class="hint">People are added by <code>propdesk users add</code>.</p>"""
