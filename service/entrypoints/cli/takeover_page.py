"""The report of a take-over as a page of its own: figures, levels, skipped rows and every difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from service.domain.ids import escape_invisible
from service.entrypoints.responses.takeover import REASONS
from service.use_cases.takeover.takeover import TakeoverReport

_TEMPLATE = Path(__file__).parent / "takeover_page.html"


def render_page(report: TakeoverReport, value: Mapping[str, Any], files: Sequence[str], outcome: str) -> str:
    """Return the page. It needs nothing from elsewhere, and follows the reader's light or dark colors."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["visible"] = lambda text: escape_invisible(str(text))
    template = environment.from_string(_TEMPLATE.read_text("utf-8"))
    return template.render(report=report, value=value, files=files, outcome=outcome, reasons=REASONS)
