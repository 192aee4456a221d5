"""The outermost layer: the verbs, and how errors and interruptions reach the user."""

from __future__ import annotations

import errno
import sys

from cyclopts import App

import personaproof
from personaproof.cli._console import errors
from personaproof.core import PersonaProofError

INTERRUPTED = 130
FAILED = 2

app = App(
    name="personaproof",
    version=personaproof.__version__,
    help=(
        "Make a language model's safety depend on what is asked, not on who the model is told to be.\n\n"
        "Start with `personaproof demo`: it audits the bundled model organism, evolves personas that break it, "
        "hardens it and audits it again, and leaves a report.html. MODEL arguments take `organism`, a local folder, "
        "a Hub id, or `openai:NAME` with --base-url."
    ),
    help_format="markdown",
    suppress_keyboard_interrupt=False,
)

# Named by import path, so that `--help` and `compare` start without loading torch.
_VERBS = {
    "demo": "The whole loop on the bundled model organism, in a few minutes: start here.",
    "audit": "Does the same request get the same decision under every persona?",
    "evolve": "Search for personas that break a model, and confirm the best on fresh requests.",
    "harden": "Train the persona dependence away; leaves a PEFT adapter with a model card.",
    "selfplay": "Search and training in turn, until a fresh search finds nothing.",
    "gate": "Does a compliant persona decide inside the model whether it refuses?",
    "recognize": "Which texts does each persona take for its own, and is the Assistant the reference?",
    "compare": "Two audits of the same personas and requests, paired trial by trial.",
    "report": "Write the self-contained HTML report of a finished run.",
}
for _verb, _help in _VERBS.items():
    app.command(f"personaproof.cli.{_verb}:{_verb}", help=_help)
app.command("personaproof.cli.organism:app", name="organism", help="The bundled model organism: path, card, build.")
app.command(
    "personaproof.cli.bench:app",
    name="bench",
    help="Comparisons, side by side in one run: search, harden, air, loss, directions, scale.",
)
app.command(
    "personaproof.cli.export:app",
    name="export",
    help="A hardened model for lm-evaluation-harness; launch configurations.",
)


def main() -> None:
    """Entry point. Exit status: 0 done, 1 wrong usage, 2 an error the user can act on, 130 interrupted."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; returns its exit status."""
    try:
        app(arguments)
    except PersonaProofError as error:
        errors.print(f"[bold red]error:[/] {_plain(str(error))}", highlight=False)
        return FAILED
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        errors.print(
            "[bold red]error:[/] the disk is full. Free some space and run the same command again; it continues "
            "where it stopped.",
            highlight=False,
        )
        return FAILED
    except KeyboardInterrupt:
        errors.print("[yellow]interrupted:[/] finished work is kept; run the same command again to continue.")
        return INTERRUPTED
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
