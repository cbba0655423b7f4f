"""Properties of groups that their owner manages."""

from __future__ import annotations

from collections.abc import Mapping

from service.entrypoints.http.openapi.samples import SIGNED_LINK, Described

PROPERTIES: Mapping[str, Described] = {
    "owner": ("The reader whose subscription it is: your site vouches that this is who is signed in.", "r-1042"),
    "groups": "The groups whose subscription runs.",
    "ReaderExportOut.groups": "The groups that the reader owns.",
    "ReaderExportOut.seats": "The seats that the reader has.",
    "OwnedGroupOut.used": ("How many seats are assigned.", 1),
    "OwnedGroupOut.invites": "The invitations that are open.",
    "InviteOut.id": ("The ID of the invitation.", "iv_7c1e0b94d2a85f63"),
    "invite": ("The token of the invitation, for the link that the owner sends.", SIGNED_LINK),
    "InviteIn.until": ("When the invitation expires.", "2027-01-01T00:00:00Z"),
    "HeldSeatOut.since": ("Since when the reader has the seat.", "2026-11-20T09:00:00Z"),
    "HeldSeatOut.invites": ("The invitations by which the reader got the seat.", ["iv_7c1e0b94d2a85f63"]),
}
