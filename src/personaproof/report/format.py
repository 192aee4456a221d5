"""Numbers as a reader meets them, the same in the page and in the terminal."""

from __future__ import annotations

import unicodedata

MINUS = "\u2212"
NOT_MEASURED = "not measured"


def number(value: float, *, percent: bool, signed: bool = False) -> str:
    """``83.1 %`` for a rate, ``+3.2 points`` for a signed difference of rates, else four significant digits, and from
    1,000 on the nearest whole number.

    A rate too small to show is ``<0.1 %`` (or ``>−0.1 points``), never a false zero.
    """
    unit = (" points" if signed else " %") if percent else ""
    magnitude = abs(value) * 100 if percent else abs(value)
    if percent and 0 < magnitude < 0.05:
        return f"<0.1{unit}" if value > 0 else f">{MINUS}0.1{unit}"
    text = f"{magnitude:.1f}" if percent else f"{magnitude:,.0f}" if magnitude >= 1000 else f"{magnitude:.4g}"
    sign = "" if value == 0 else (MINUS if value < 0 else "+" * signed)
    return f"{sign}{text}{unit}"


def interval(ci95: tuple[float, float] | None, *, percent: bool, signed: bool = False) -> str:
    """``81.0 to 85.2``, in the units of `number`; empty where there is none."""
    if ci95 is None:
        return ""
    low, high = (number(bound, percent=percent, signed=signed) for bound in ci95)
    for unit in (" %", " points"):
        low, high = low.removesuffix(unit), high.removesuffix(unit)
    return f"{low} to {high}"


def p_value(p: float | None) -> str:
    if p is None:
        return ""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def excerpt(text: str, limit: int) -> str:
    """At most `limit` characters, cut at a word where one ends near, with an ellipsis."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    word_end = cut.rfind(" ")
    return (cut[:word_end] if word_end > limit * 0.7 else cut).rstrip() + "…"


def printable(text: str) -> str:
    """Control characters (terminal escapes among them) made visible as U+FFFD; one line."""
    flat = " ".join(text.split())
    return "".join("\ufffd" if unicodedata.category(char) in ("Cc", "Cf", "Cs") else char for char in flat)
