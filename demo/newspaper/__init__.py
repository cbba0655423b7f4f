"""The Daily Ledger: a small newspaper that uses the paywall exactly as a publisher's site would.

It talks to the service over HTTP with a site key and shares no code with it. What a publisher would copy is `client.py`
(how to ask) and `visit.py` (who is asking), about 150 lines of code; `app.py` and `desk.py` show what to do with the answers.
"""
