"""The membership desk: sign in and out, pay, come back from paying, see and manage what one holds."""

import time
from urllib.parse import urlencode

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from .client import Failed
from .stories import Story
from .visit import READERS, ask, paper, reader

account_pages = Blueprint("account", __name__)

SETTLE_SECONDS = 3.0  # a payment is usually told to the service within this time of the reader's coming back
ASK_AGAIN_SECONDS = 0.3
PATIENCE = 20  # reloads of the waiting page before it stops by itself

NOT_PAID_FOR = "There is no subscription of yours to manage: what you hold does not come from a payment."
SORRY = {
    409: "You already hold this plan, so there is nothing to pay. You can manage it on this page.",
    422: "This plan cannot be bought at the moment. Nothing was charged.",
}
UNPAID = "Payments cannot be reached at the moment. Nothing was charged; please try again in a few minutes."


@account_pages.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Response | str:
    """A real paper has accounts with passwords; here one picks who to be."""
    back = _own_path(request.values.get("next", ""))
    name = request.form.get("reader", "")
    if request.method == "POST" and name in READERS:
        session.clear()
        session["reader"] = name
        return redirect(back, 303)
    return render_template("sign_in.html", back=back)


@account_pages.post("/sign-out")
def sign_out() -> Response:
    session.clear()
    return redirect(url_for("pages.front"), 303)


@account_pages.post("/subscribe")
def subscribe() -> Response:
    """The box's button: to the page to pay on, and from there to `welcome`."""
    story = paper().stories.get(request.form.get("story", ""))
    box = (url_for("pages.story", story_id=story.head.id) if story else url_for("pages.support")) + "#support"
    buyer = reader()
    if not buyer:
        flash("Sign in first, so that we know whose support it is. You come back to the same place.")
        return redirect(url_for(".sign_in", next=box), 303)
    kind, _, name = request.form.get("choice", "").partition(":")
    if kind not in ("plan", "price") or not name:
        flash("Choose how you would like to support us.")
        return redirect(box, 303)
    welcome = f"{paper().public_url}/welcome?{urlencode({'story': story.head.id if story else ''})}"
    try:
        return redirect(paper().paywall.checkout(buyer, {kind: name}, welcome), 303)
    except Failed as failed:
        flash(SORRY.get(failed.status, UNPAID))
        return redirect(url_for(".account") if failed.status == 409 else box, 303)


@account_pages.get("/welcome")
def welcome() -> Response | str:
    """Back from the page to pay on: the story opens at once, or a page waits for the news of the payment."""
    story = paper().stories.get(request.args.get("story", ""))
    tries = min(request.args.get("tries", 0, type=int), PATIENCE)
    if not reader():
        return redirect(url_for(".sign_in", next=f"{request.path}?{urlencode(request.args.to_dict())}"), 303)
    there = url_for("pages.story", story_id=story.head.id) if story else url_for(".account")
    if "session_id" not in request.args:  # the page to pay on adds it, unless one turns back there
        flash("Nothing was charged. The offer stands.")
        return redirect(f"{there}#support", 303)
    if tries == 0:
        paper().paywall.returned(request.args["session_id"])
    if _settled(story or paper().lead, SETTLE_SECONDS if tries == 0 else 0):
        flash("Thank you for supporting the Ledger. Everything you paid for is open.")
        return redirect(there, 303)
    again = (
        f"{request.path}?{urlencode(request.args.to_dict() | {'tries': str(tries + 1)})}" if tries < PATIENCE else None
    )
    return render_template("wait.html", again=again, there=there)


@account_pages.get("/account")
def account() -> Response | str:
    """What the reader holds, in the paywall's own words."""
    if not reader():
        return redirect(url_for(".sign_in", next=url_for(".account")), 303)
    return render_template("account.html", answer=ask(paper().lead))


@account_pages.post("/manage")
def manage() -> Response:
    """To the page on which a subscription is changed or cancelled."""
    holder = reader()
    if not holder:
        return redirect(url_for(".sign_in", next=url_for(".account")), 303)
    try:
        return redirect(paper().paywall.portal(holder, f"{paper().public_url}{url_for('.account')}"), 303)
    except Failed as failed:
        flash(NOT_PAID_FOR if failed.status == 404 else UNPAID)
        return redirect(url_for(".account"), 303)


def _settled(story: Story, seconds: float) -> bool:
    """Whether what was paid for shows, asked again for so long: a free read is no sign of it, a held feature is."""
    until = time.monotonic() + seconds
    while True:
        answer = ask(story)
        if answer["show"] == "full" and answer["features"]:
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(ASK_AGAIN_SECONDS)


def _own_path(path: str) -> str:
    """Only a path of this site: a link to our sign-in page must not lead on to somebody else's."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"
