"""The Daily Ledger: a small newspaper that uses the paywall as a publisher's site would.

It calls the service over HTTP with a site key, and shares no code with it. Copy `client.py` (the calls) and `visit.py` (the
reader and visitor behind a request) into a site of your own. `app.py` and `account_pages.py` show how to use the answers.
"""
