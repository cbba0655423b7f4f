import os
import uuid

import requests
from flask import Flask, make_response, request

PAYWALL, SITE_KEY = os.environ["PAYWALL"], os.environ["SITE_KEY"]
PARTS = {"facts": "The city sold the harbour on Monday.", "notebook": "The contract names a second buyer."}
app = Flask(__name__)


@app.get("/sign-in/<reader>")
def sign_in(reader):  # Your own sign-in is here: it checks who this is.
    answer = make_response("Signed in.")
    answer.set_cookie("reader", reader, httponly=True, samesite="Lax")
    return answer


@app.get("/story/<story>")
def show_story(story):
    visitor = request.cookies.get("visitor") or str(uuid.uuid4())
    described = {"id": story, "section": "city", "parts": list(PARTS)}
    question = {"story": described, "visitor": visitor, "reader": request.cookies.get("reader")}
    try:
        headers = {"Authorization": f"Bearer {SITE_KEY}"}
        answer = requests.post(f"{PAYWALL}/v1/access", json=question, headers=headers, timeout=2)
        answer.raise_for_status()
        decision = answer.json()
    except requests.RequestException:  # Without an answer, show only what is open to everyone.
        decision = {"parts": {"facts": "open"}, "offer": None}
    page = [f"<p>{text}</p>" for part, text in PARTS.items() if decision["parts"].get(part) == "open"]
    if decision["offer"]:
        page.append(f"<h2>{decision['offer']['heading']}</h2><button>{decision['offer']['button']}</button>")
    response = make_response("\n".join(page))
    response.headers["Cache-Control"] = "private"
    response.set_cookie("visitor", visitor, max_age=31_536_000, httponly=True, samesite="Lax")
    return response
