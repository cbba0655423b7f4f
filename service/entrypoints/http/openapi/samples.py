"""Values that several examples share."""

from __future__ import annotations

from typing import Any

Described = tuple[str, Any] | str
"""A description with an example. Without one, the example is that of the property's own schema."""

DECISION = "7x0JmB3qk2hVvC1sYtRz0aWn"
HASH = "6017e7be91b90fb1f25e8c9b2dcbe07152326d8628c22224db1a0f0e3d9bf263"
PREVIOUS_HASH = "976b0748ed5af613f648cbdfed520bdd38d2ff3249191c42a11f66168f2fbda0"
NEXT_MONTH = "2026-12-01T05:00:00Z"
SIGNED_LINK = (
    "eyJhbGciOiJFZERTQSIsImtpZCI6InRCU3R1bGlnQzk2MmJDMlQySHA3eUEiLCJ0eXAiOiJKV1QifQ.eyJqdGkiOiJzcF81M2M3ZGI2NGQ0OTNk"
    "OGEwODlkYSIsInN0b3J5Ijoic2Nob29sLWJ1c2VzIiwiZXhwIjoxNzk2NDQ2NjE0fQ.eG8TgcVoM325EjipxOm59I9uzF4q8HOcLZlUaNqJJw4"
)
