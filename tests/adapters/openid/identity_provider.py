"""Run a real identity provider (Canaille) with users in groups: `python identity_provider.py PORT PASSWORD`.

Nothing of the tests imports this file: what Canaille brings along stays in a process of its own.
"""

from __future__ import annotations

import sys

from canaille import create_app  # type: ignore[import-untyped]  # it has no types
from canaille.app import models  # type: ignore[import-untyped]  # likewise
from canaille.backends import Backend  # type: ignore[import-untyped]  # likewise
from flask import Flask
from werkzeug.serving import run_simple

GROUPS = {"desk": ["ann", "bea", "dora", "olga"], "chiefs": ["olga"], "library": ["vic"], "sports": ["nora"]}
PEOPLE = sorted({name for members in GROUPS.values() for name in members})


def provider(port: int, password: str) -> Flask:
    """Return the provider. All users have the same password, and anyone may register a client (RFC 7591)."""
    app: Flask = create_app(
        {
            "SECRET_KEY": "of-the-tests-" * 3,
            "SERVER_NAME": f"127.0.0.1:{port}",
            "PREFERRED_URL_SCHEME": "http",
            "CANAILLE": {"FORCE_HTTPS": False, "SMTP": None, "NAME": "The staff of the Ledger"},
            "CANAILLE_OIDC": {"DYNAMIC_CLIENT_REGISTRATION_OPEN": True, "TRUSTED_DOMAINS": []},
        }
    )
    # Canaille sends `email_verified` only if it is configured; it renders a text.
    app.config["CANAILLE_OIDC"]["USERINFO_MAPPING"]["EMAIL_VERIFIED"] = "true"
    with app.app_context():
        people = {
            name: models.User(
                user_name=name,
                formatted_name=name.title(),
                family_name=name.title(),
                emails=[f"{name.title()}@example.news"],
                password=password,
            )
            for name in PEOPLE
        }
        for person in people.values():
            Backend.instance.save(person)
        for group, members in GROUPS.items():
            Backend.instance.save(models.Group(display_name=group, members=[people[name] for name in members]))
    return app


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), provider(int(sys.argv[1]), sys.argv[2]), threaded=True)
