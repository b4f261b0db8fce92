"""Step 3: canonical underlyings and the IST dimensions."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from propdesk.core.calendar import MarketCalendar, ist_date, segment_of
from propdesk.intake import Aliases, DerivativeListings, Dimensions, Rejection, dimensions_of
from propdesk.model.enums import Category, Period, Side
from propdesk.pipeline.columns import by_partition, or_none, rejected_frame, texts, to_ns

_SHOWN = ("category", "symbol_text", "expiry", "strike_paise", "option_type", "side", "advisor_id")


@dataclass(frozen=True, slots=True)
class Normalised:
    """Frames of ``research.normalised_signals`` and the refused records."""

    signals: pd.DataFrame
    rejected: pd.DataFrame


def normalise_signals(
    validated: pd.DataFrame,
    calendar: MarketCalendar,
    aliases: Aliases,
    listings: DerivativeListings | None = None,
) -> Normalised:
    """Add underlying, is_index, period, weekday and session.

    Parameters
    ----------
    validated : DataFrame
        Columns of ``research.validated_signals``.
    listings : DerivativeListings, optional
        When cash stocks had listed derivatives: their close differs since August 2026. The day of receipt
        decides, as its close is the one a signal came before or after.

    Returns
    -------
    Normalised
        Every row is in exactly one of the two frames; nothing is learnt after posting (§2.6).
    """
    listings = listings or DerivativeListings()
    found: list[Dimensions | Rejection] = [
        _dimensions(*row, calendar=calendar, aliases=aliases, listings=listings)
        for row in zip(
            validated["signal_id"].tolist(),
            validated["symbol_text"].tolist(),
            validated["category"].tolist(),
            validated["side"].tolist(),
            or_none(validated["declared_period"]),
            or_none(validated["expiry"]),
            to_ns(validated["received_at"]).tolist(),
            validated["trade_date"].tolist(),
            strict=True,
        )
    ]
    kept = [one for one in found if isinstance(one, Dimensions)]
    is_kept = np.array([isinstance(one, Dimensions) for one in found], dtype=bool)
    signals = validated[is_kept].reset_index(drop=True)
    signals["underlying"] = texts([one.underlying for one in kept])
    signals["is_index"] = pd.Series([one.is_index for one in kept], dtype="bool")
    signals["period"] = texts([one.period.value for one in kept])
    signals["weekday"] = texts([None if one.weekday is None else one.weekday.value for one in kept])
    signals["session"] = texts([one.session.value for one in kept])
    refused = validated[~is_kept]
    rejections = [one for one in found if isinstance(one, Rejection)]
    return Normalised(by_partition(signals, "signal_id"), refused_rows(refused, rejections))


def _dimensions(
    signal_id: str,
    symbol_text: str,
    category: str,
    side: str,
    declared: str | None,
    expiry: date | None,
    received_ns: int,
    trade_date: date,
    *,
    calendar: MarketCalendar,
    aliases: Aliases,
    listings: DerivativeListings,
) -> Dimensions | Rejection:
    kind = Category(category)
    underlying = aliases.canonical(symbol_text, trade_date)
    has_derivatives = listings.include(underlying, ist_date(received_ns))
    return dimensions_of(
        signal_id,
        symbol_text,
        kind,
        Side(side),
        None if declared is None else Period(declared),
        expiry,
        received_ns=received_ns,
        trade_date=trade_date,
        segment=segment_of(is_derivative=kind.is_derivative, has_derivatives=has_derivatives),
        calendar=calendar,
        aliases=aliases,
    )


def refused_rows(frame: pd.DataFrame, rejections: list[Rejection]) -> pd.DataFrame:
    """Build the refused frame from typed rows and their rejections, in the same order."""
    shown = [json.dumps(row, default=_plain) for row in frame[list(_SHOWN)].to_dict("records")]
    return rejected_frame(
        [
            (
                rejection.stage.value,
                upload_id,
                row_number,
                trade_date,
                signal_id,
                [reason.value for reason in rejection.reasons],
                rejection.message,
                content,
            )
            for rejection, upload_id, row_number, trade_date, signal_id, content in zip(
                rejections,
                frame["upload_id"].tolist(),
                frame["row_number"].tolist(),
                frame["trade_date"].tolist(),
                frame["signal_id"].tolist(),
                shown,
                strict=True,
            )
        ]
    )


def _plain(value: Any) -> str | None:
    return None if value is pd.NA else str(value)
