"""``propdesk limits``: what every entry is held to, and when the kill switches trip."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from adapters.settings import load_settings
from cli.output import JsonOption, emit, parse_day, say, show_table
from propdesk.core.calendar import ist_date, ist_text


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def limits(
        day: Annotated[str | None, typer.Option("--day", help="Of this day; default: today.")] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Check and show the limits of the risk gateway and the measures of the kill switches."""
        from adapters.clock import SystemClock
        from adapters.config_risk import RISK_FILE, load_risk

        settings = load_settings()
        chosen = ist_date(SystemClock().now_ns()) if day is None else parse_day(day, "--day")
        found = load_risk(chosen, settings.risk_file)
        file = settings.risk_file or RISK_FILE
        account = _plain(asdict(found.limits))
        categories = {one.category.value: _plain(asdict(one.limits)) for one in found.category_limits}
        kill = asdict(found.kill_limits)
        if as_json:
            emit({"file": str(file), "account": account, "categories": categories, "kill": kill})
            return
        show_table(
            f"Limits of {file}",
            ("limit", "account", *categories),
            [(name, _shown(name, value), *(_shown(name, own[name]) for own in categories.values()))
             for name, value in account.items()],
        )  # fmt: skip
        show_table("Kill switches", ("measure", "value"), [(n, _shown(n, v)) for n, v in kill.items()])
        say("Money limits are shares of the day's opening corpus; a running day keeps those it began with.")


def _plain(limits: dict[str, Any]) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in limits.items()}


def _shown(name: str, value: Any) -> str:
    """Write a value for a person: moments in IST, spans in seconds."""
    if value is None:
        return "the session's own" if name == "entry_cutoff_ns" else ""
    if name == "protections":
        return "; ".join(f"{one['kind']} per {one['per']}" for one in value) or "none"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if name == "entry_cutoff_ns":
        return ist_text(value)
    return f"{value / 1e9:g} s" if name.endswith("_ns") else str(value)
