"""Why somebody was not signed in: a kind, which the page has a sentence for, and a word for the log."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["away", "denied", "unaccepted", "no_name", "unverified", "no_group"]
"""away        the provider cannot be asked now
denied      the provider says no, or the person did
unaccepted  the provider's answer does not hold
no_name     it does not say who that is, in a form that can stand in the audit log
unverified  the e-mail address is not verified there
no_group    none of the groups has a role here
"""

_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")


class NotSignedIn(Exception):
    """`why` is a word of ours, or an error code of the standard's; never a message, as those may quote what was sent."""

    def __init__(self, kind: Kind, why: str) -> None:
        super().__init__(f"{kind}: {why}")
        self.kind = kind
        self.why = why


def code_of(error: object) -> str:
    """An error code as the provider sent it, where it looks like one."""
    return error if isinstance(error, str) and _CODE.fullmatch(error) else "unknown_code"
