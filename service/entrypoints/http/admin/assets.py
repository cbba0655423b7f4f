"""The page's style and scripts: read once, served under a name that changes with them, so that browsers keep them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from flask import Flask, Response, abort

from service.entrypoints.http.admin.frame import open_door

FOLDER = Path(__file__).parent / "static"
KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def register(page: Flask) -> None:
    """Adds `/static/…`, and `asset(name)` for templates."""
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix[1:] in KINDS}
    marks = {name: sha256(content).hexdigest()[:12] for name, content in files.items()}

    @page.get("/static/<mark>/<name>")
    @open_door
    def asset(mark: str, name: str) -> Response:
        if marks.get(name) != mark:
            abort(404)
        answer = Response(files[name], content_type=KINDS[name.rpartition(".")[2]])
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer

    cast(Any, asset).stateless = True

    @page.template_global("asset")
    def address(name: str) -> str:
        return f"/admin/static/{marks[name]}/{name}"
