"""One self-contained HTML file: template, style, script and plotly.js inlined once, and nothing fetched."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from personaproof.core import StoreError
from personaproof.report import format as form
from personaproof.report.data import Example, Heatmap, ModelText, SearchCurve
from personaproof.report.document import ReportData
from personaproof.report.intervals import difference_plot, value_plot
from personaproof.report.labels import OUTCOMES, change
from personaproof.report.payload import build_payload, redacted, response_limit, script_json

LONGEST_EXAMPLE = 1500
LONGEST_PERSONA = 400
LONGEST_LABEL = 120
"""Characters of a persona that names a row of a small table; the page has more of it elsewhere."""
STRONGEST_SHOWN = 20
"""Personas of a lineage listed in the table beside its tree."""


def write_report(data: ReportData, path: Path | str, *, show_harmful: bool = False) -> Path:
    """Write the report to `path`, whole or not at all, and return it. The same data give the same bytes.

    Answers marked harmful are replaced by their length and hash unless `show_harmful`; then the page says so.
    Raises StoreError where the file cannot be written.
    """
    return write_page(render_report(data, show_harmful=show_harmful), path)


def render_report(data: ReportData, *, show_harmful: bool = False) -> str:
    """The report as HTML text."""
    has_plots = bool(
        data.heatmaps
        or data.lineages
        or data.search
        or data.confirmations
        or data.training
        or any(plot.drawn for section in data.sections for plot in section.plots)
    )
    scripts = [get_plotlyjs(), _asset("report.js")] if has_plots else []
    return render_page(
        "report.html.j2",
        scripts,
        data=data,
        payload=Markup(script_json(build_payload(data, show_harmful))) if has_plots else None,
        show_harmful=show_harmful,
        redacted=lambda text: redacted(text, show_harmful),
        holds_redactions=not show_harmful and _holds_harmful(data),
        answers_shown=response_limit(data.heatmaps) > 0,
    )


def render_page(template: str, scripts: list[str], **values: Any) -> str:
    """Fill a template. The page's content security policy allows these scripts, by hash, and no network at all, so
    that even text which slipped past escaping could neither run nor load anything."""
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts) or "'none'"
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template(template)
        .render(
            policy=policy,
            style=Markup(_asset("report.css")),
            scripts=[Markup(script) for script in scripts],
            **values,
        )
    )


def write_page(html: str, path: Path | str) -> Path:
    """Write `html` beside `path` first and then move it there. A lone surrogate, which UTF-8 has no form for, becomes
    a character reference that browsers show as U+FFFD."""
    path = Path(path)
    content = html.encode("utf-8", "xmlcharrefreplace")
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            file.write(content)
        # Temporary files are private; a report is for sharing, under the user's own mask.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise StoreError(
            f"cannot write the report to {path}: {error.strerror or error}; give another path or free some space."
        ) from error
    return path


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("personaproof.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        # A unit stays on the line of its number.
        "number": lambda value, **style: form.number(value, **style).replace(" ", "\u00a0"),
        "interval": form.interval,
        "p_value": form.p_value,
        "excerpt": form.excerpt,
        "is_mapping": lambda value: isinstance(value, Mapping),
        "is_list": lambda value: isinstance(value, (list, tuple)),
    }
    environment.globals |= {
        "NOT_MEASURED": form.NOT_MEASURED,
        "OUTCOMES": OUTCOMES,
        "LONGEST_EXAMPLE": LONGEST_EXAMPLE,
        "LONGEST_LABEL": LONGEST_LABEL,
        "LONGEST_PERSONA": LONGEST_PERSONA,
        "STRONGEST_SHOWN": STRONGEST_SHOWN,
        "value_plot": value_plot,
        "difference_plot": difference_plot,
        "change": change,
        "totals": totals,
        "last_known": last_known,
        "by_outcome": by_outcome,
    }
    return environment


def totals(heatmap: Heatmap, arm: int) -> dict[str, int]:
    """Answers of one arm by outcome."""
    cells = [cell for row in heatmap.cells[arm] for cell in row]
    return {
        name: sum(getattr(cell, name) for cell in cells) for name in ("refused", "answered", "complied", "unjudged")
    }


def last_known(curve: SearchCurve) -> dict[str, Any]:
    """The end of a search: its calls and the last best and mean elite ASR that were known."""
    return {
        "calls": curve.calls[-1] if curve.calls else 0,
        "best": next((value for value in reversed(curve.best) if value is not None), None),
        "mean": next((value for value in reversed(curve.mean_elite) if value is not None), None),
    }


def by_outcome(examples: Sequence[Example]) -> list[tuple[str, list[Example]]]:
    """Examples grouped by outcome, in the order of `OUTCOMES`, then any other outcomes."""
    names = [*OUTCOMES, *sorted({example.outcome for example in examples} - set(OUTCOMES))]
    groups = [(name, [example for example in examples if example.outcome == name]) for name in names]
    return [(name, group) for name, group in groups if group]


def _holds_harmful(data: ReportData) -> bool:
    texts: list[ModelText] = [answer.response for example in data.examples for answer in example.answers]
    texts += [
        cell.response
        for h in data.heatmaps
        for arm in h.cells
        for row in arm
        for cell in row
        if cell.response is not None
    ]
    return any(text.harmful for text in texts)


@cache
def _asset(name: str) -> str:
    return (files("personaproof.report") / "assets" / name).read_text(encoding="utf-8")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
