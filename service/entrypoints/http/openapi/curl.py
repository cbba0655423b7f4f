"""The `curl` command of each route, to copy into a shell."""

from __future__ import annotations

import json
import shlex
from typing import Any
from urllib.parse import quote

_KEYS = {"site_key": "$SITE_KEY", "admin_key": "$ADMIN_KEY"}
_SHOWN = {("change_grants", "plan")}
"""Optional parameters that a command shows: operation and name."""
_SIGNED = """\
BODY={body}
TIME=$(date +%s)
SIGNATURE=$(printf '%s' "$TIME.$BODY" | openssl dgst -sha256 -hmac "$STRIPE_WEBHOOK_SECRET" | sed 's/^.* //')
curl -s "$PAYWALL{path}" -H "Content-Type: application/json" -H "Stripe-Signature: t=$TIME,v1=$SIGNATURE" -d "$BODY\""""


def curl_command(method: str, path: str, operation: dict[str, Any]) -> str:
    """Return the command that calls an operation with its examples. A CSV file is read from `grants.csv`, by its route."""
    query = ""
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(parameter["example"] or "", safe=""))
        elif (
            parameter["required"]
            or (operation["operationId"], parameter["name"]) in _SHOWN
            or (parameter["name"] == "reason" and method == "DELETE")
        ):
            query = f"?{parameter['name']}={quote(parameter['example'])}"
    body: dict[str, Any] = operation.get("requestBody", {})
    bodies: dict[str, dict[str, Any]] = body.get("content", {})
    kind, content = next(iter(bodies.items()), ("", {"example": None}))
    if {"stripe_signature": []} in operation["security"]:
        return _SIGNED.format(path=path, body=shlex.quote(json.dumps(content["example"])))
    has_body = kind == "text/csv" or bool(body.get("required"))
    verb = "" if method == ("POST" if has_body else "GET") else f"-X {method} "
    words = [f'curl -s {verb}"$PAYWALL{path}{query}"']
    words += [f'-H "Authorization: Bearer {_KEYS[name]}"' for scheme in operation["security"] for name in scheme]
    if kind == "text/csv":
        words += [f'-H "Content-Type: text/csv" --data-binary @{path.split("/")[2]}.csv']
    elif has_body:
        written = json.dumps(content["example"], ensure_ascii=False)
        words += ['-H "Content-Type: application/json"', f"-d {shlex.quote(written)}"]
    return " \\\n  ".join(words)
