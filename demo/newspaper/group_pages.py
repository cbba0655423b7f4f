"""A group for the person who pays for it: seats and invitations on the account page; and the page that an invitation opens.

The paywall keeps no token of an invitation. The owner's session does, so that the account page can show the link again.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Blueprint, current_app, flash, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from .client import PaywallError
from .visit import READERS, newspaper, reader

group_pages = Blueprint("group", __name__)

INVITATION_DAYS = 7
MOST_LINKS = 4  # in a session: a cookie holds 4 KB, and a token has about 350 characters

UNAVAILABLE = "Memberships are unavailable at the moment. Nothing was changed. Try again in a few minutes."
INVITE_ERRORS = {409: "Each free seat has an invitation already. Withdraw one, or take a seat back."}
WITHDRAW_ERRORS = {404: "This invitation was used, or it has expired."}
ACCEPT_ERRORS = {
    404: "This invitation is no longer valid. Ask for a new link.",
    409: "Every seat of this group is taken. Ask its owner for a seat.",
}


def owned_groups(owner: str) -> list[dict[str, Any]]:
    """Return the reader's groups as the account page shows them: each open invitation with its link, if it is known."""
    links = session.get("invites", {})
    groups = newspaper().paywall.groups(owner)
    for group in groups:
        for invite in group["invites"]:
            token = links.get(invite["id"])
            invite["link"] = token and f"{newspaper().public_url}{url_for('group.join', invite=token)}"
        group["free"] = group["quantity"] - group["used"]
    return groups


def _change(work: Callable[[str], None], done: str, errors: dict[int, str]) -> Response:
    """Do what the owner's form asks for, and redirect to the account page with a message."""
    owner = reader()
    if not owner:
        return redirect(url_for("account.sign_in", next=url_for("account.account")), 303)
    try:
        work(owner)
        flash(done)
    except PaywallError as error:
        flash(errors.get(error.status, UNAVAILABLE))
    return redirect(f"{url_for('account.account')}#group", 303)


@group_pages.post("/group/<subscription>/invite")
def invite(subscription: str) -> Response:
    """Create an invitation and remember its token for this session."""

    def create(owner: str) -> None:
        until = current_app.extensions["page_context"]["clock"]() + timedelta(days=INVITATION_DAYS)
        made, token = newspaper().paywall.invite(subscription, owner, until)
        session["invites"] = dict([*session.get("invites", {}).items(), (made, token)][-MOST_LINKS:])

    return _change(create, "Copy the link of the invitation, and send it to one person.", INVITE_ERRORS)


@group_pages.post("/group/<subscription>/withdraw")
def withdraw(subscription: str) -> Response:
    made = request.form.get("invite", "")
    return _change(
        lambda owner: newspaper().paywall.withdraw_invite(subscription, owner, made),
        "The invitation is withdrawn. Its link opens nothing any more.",
        WITHDRAW_ERRORS,
    )


@group_pages.post("/group/<subscription>/take-back")
def take_back(subscription: str) -> Response:
    """Take a seat back, once the owner has confirmed it."""
    member = request.form.get("reader", "")
    if request.form.get("sure") != "yes":
        flash("Tick the box to confirm that you take the seat back.")
        return redirect(f"{url_for('account.account')}#group", 303)
    return _change(
        lambda owner: newspaper().paywall.take_seat_back(subscription, owner, member),
        f"{READERS.get(member, (member, ''))[0]} has no seat any more.",
        {},
    )


@group_pages.route("/join", methods=["GET", "POST"])
def join() -> Response | str:
    """Show an invitation, and accept it when its reader confirms: a preview of the link must not use it."""
    token = request.values.get("invite", "")
    member = reader()
    if request.method == "GET" or not member:
        return render_template("join.html", invite=token, here=url_for(".join", invite=token))
    try:
        newspaper().paywall.accept_invite(token, member)
    except PaywallError as error:
        flash(ACCEPT_ERRORS.get(error.status, UNAVAILABLE))
        return redirect(
            url_for(".join", invite=token) if error.status not in ACCEPT_ERRORS else url_for("account.account"), 303
        )
    flash("Welcome to the group. Everything in its plan is open to you.")
    return redirect(url_for("account.account"), 303)
