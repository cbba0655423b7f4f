"""A paywall and subscription service for news sites.

It answers one question, for a reader and a story: the full story, or the upsell box, and why? Start reading at
`service/domain/decision.py` (the rules of every answer), then `service/bootstrap.py` (how the service is assembled).
Nothing connects, reads a clock or starts a thread at import.
"""
