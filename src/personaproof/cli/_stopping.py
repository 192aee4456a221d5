"""Ending a long search early, by budget or by hand, with everything it found."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from personaproof.cli._console import errors
from personaproof.core import RecipeError

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([smh])")


def read_budget(text: str | None) -> tuple[int | None, float | None]:
    """(target calls, seconds) of a --budget: a whole number is calls, with s, m or h it is time. Raises RecipeError."""
    if text is None:
        return None, None
    if text.strip().isdecimal() and int(text) > 0:
        return int(text), None
    if (match := _TIME.fullmatch(text.strip())) and float(match[1]) > 0:
        return None, float(match[1]) * UNITS[match[2]]
    raise RecipeError(f"--budget {text!r} is neither a number of target calls (3000) nor a time (90s, 30m, 2h).")


@contextmanager
def graceful_stop(seconds: float | None) -> Iterator[Callable[[], str | None]]:
    """A question for the search: is there a reason to begin no new generation? Time spent, or Ctrl-C.

    The first Ctrl-C inside the block only sets the reason; the second interrupts as usual.
    """
    started = time.monotonic()
    stopped = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if stopped:
            raise KeyboardInterrupt
        stopped = True
        errors.print("[yellow]stopping[/] after this generation; once more to stop at once.")

    def halt() -> str | None:
        if stopped:
            return "stopped by the user"
        if seconds is not None and time.monotonic() - started >= seconds:
            return f"time spent: {seconds:g} s"
        return None

    before = signal.signal(signal.SIGINT, note)
    try:
        yield halt
    finally:
        signal.signal(signal.SIGINT, before)
