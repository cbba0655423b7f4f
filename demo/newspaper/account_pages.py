"""Sign-in, checkout, the return from checkout, and the account page."""

import time
from urllib.parse import urlencode

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from .client import PaywallError
from .group_pages import owned_groups
from .stories import Story
from .visit import READERS, check_access, create_account, newspaper, reader

account_pages = Blueprint("account", __name__)

PAYMENT_WAIT_SECONDS = 3.0  # the webhook usually arrives within this time
RETRY_SECONDS = 0.3
MAX_RELOADS = 20  # of the waiting page, before it stops
LONGEST_NAME = 40

NO_SUBSCRIPTION = "You have no paid subscription to manage."
CHECKOUT_ERRORS = {
    409: "You already have this plan. You can manage it on this page.",
    422: "You can't buy this plan at the moment. Nothing was charged.",
}
PAYMENTS_UNAVAILABLE = "Payments are unavailable at the moment. Nothing was charged. Try again in a few minutes."


@account_pages.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Response | str:
    """Let you choose a reader. A real newspaper has accounts with passwords."""
    back = _own_path(request.values.get("next", ""))
    name = request.form.get("reader", "")
    if request.method == "POST" and name in READERS:
        session.clear()
        session["reader"] = name
        return redirect(back, 303)
    return render_template("sign_in.html", back=back)


@account_pages.post("/sign-up")
def sign_up() -> Response:
    """Create a free account. A real newspaper sends a message with a link to confirm the address."""
    name = " ".join(request.form.get("name", "").split())[:LONGEST_NAME] or "New reader"
    create_account(name, verified=request.form.get("address") == "verified")
    flash("Welcome to the Ledger. Your account costs nothing.")
    return redirect(_own_path(request.form.get("next", "")), 303)


@account_pages.post("/confirm-address")
def confirm_address() -> Response:
    """Confirm the address of the signed-in reader, as the link in a real newspaper's message would."""
    if reader():
        session["verified"] = True
        flash("Thank you. Your address is confirmed.")
    return redirect(_own_path(request.form.get("next", "")), 303)


@account_pages.post("/sign-out")
def sign_out() -> Response:
    session.clear()
    return redirect(url_for("pages.front"), 303)


@account_pages.post("/subscribe")
def subscribe() -> Response:
    """Redirect the upsell box's button to the checkout page, which returns to `welcome`."""
    story = newspaper().stories.get(request.form.get("story", ""))
    box = (url_for("pages.story", story_id=story.head.id) if story else url_for("pages.support")) + "#support"
    buyer = reader()
    if not buyer:
        flash("Sign in first. Then you return to this page.")
        return redirect(url_for(".sign_in", next=box), 303)
    kind, _, name = request.form.get("choice", "").partition(":")
    if kind not in ("plan", "price") or not name:
        flash("Choose how you would like to support us.")
        return redirect(box, 303)
    welcome = f"{newspaper().public_url}/welcome?{urlencode({'story': story.head.id if story else ''})}"
    try:
        return redirect(newspaper().paywall.checkout_url(buyer, {kind: name}, welcome), 303)
    except PaywallError as error:
        flash(CHECKOUT_ERRORS.get(error.status, PAYMENTS_UNAVAILABLE))
        return redirect(url_for(".account") if error.status == 409 else box, 303)


@account_pages.get("/welcome")
def welcome() -> Response | str:
    """Handle the return from checkout: show the story, or a page that waits for the webhook."""
    story = newspaper().stories.get(request.args.get("story", ""))
    tries = min(request.args.get("tries", 0, type=int), MAX_RELOADS)
    if not reader():
        return redirect(url_for(".sign_in", next=f"{request.path}?{urlencode(request.args.to_dict())}"), 303)
    there = url_for("pages.story", story_id=story.head.id) if story else url_for(".account")
    if "session_id" not in request.args:  # the checkout page adds it, except after "Cancel"
        flash("Nothing was charged. You can still subscribe.")
        return redirect(f"{there}#support", 303)
    if tries == 0:
        newspaper().paywall.confirm_checkout(request.args["session_id"])
    if _is_paid(story or newspaper().lead, PAYMENT_WAIT_SECONDS if tries == 0 else 0):
        flash("Thank you for supporting the Ledger. Everything in your plan is open.")
        return redirect(there, 303)
    again = (
        f"{request.path}?{urlencode(request.args.to_dict() | {'tries': str(tries + 1)})}"
        if tries < MAX_RELOADS
        else None
    )
    return render_template("payment_pending.html", again=again, there=there)


@account_pages.get("/account")
def account() -> Response | str:
    """Show the reader's membership from their summary, and the groups that they own.

    The decision adds the free stories that are left and a failed payment, and what was last known during an outage.
    """
    signed_in = reader()
    if not signed_in:
        return redirect(url_for(".sign_in", next=url_for(".account")), 303)
    return render_template(
        "account.html",
        summary=newspaper().paywall.summary(signed_in),
        decision=check_access(newspaper().lead),
        groups=owned_groups(signed_in),
    )


@account_pages.post("/manage")
def manage() -> Response:
    """Redirect to the customer portal."""
    signed_in = reader()
    if not signed_in:
        return redirect(url_for(".sign_in", next=url_for(".account")), 303)
    try:
        return redirect(
            newspaper().paywall.portal_url(signed_in, f"{newspaper().public_url}{url_for('.account')}"), 303
        )
    except PaywallError as error:
        flash(NO_SUBSCRIPTION if error.status == 404 else PAYMENTS_UNAVAILABLE)
        return redirect(url_for(".account"), 303)


def _is_paid(story: Story, seconds: float) -> bool:
    """Check for up to `seconds` whether the payment took effect. A feature shows it; a free read doesn't."""
    until = time.monotonic() + seconds
    while True:
        decision = check_access(story)
        if decision["show"] == "full" and decision["features"]:
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(RETRY_SECONDS)


def _own_path(path: str) -> str:
    """Return `path` if it is one of this site, else `/`. Sign-in must not redirect to another site (open redirect)."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"
