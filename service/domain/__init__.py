"""The rules: pure functions over frozen values, the standard library alone.

No clock (`now` is an argument, in epoch seconds), no environment, no input or output. Read in this order: `catalogue`
(what is sold), `source` (what a reader has, and until when), `entitlement` (what that adds up to), `meter` (free
stories), `decision` (the answer).
"""
