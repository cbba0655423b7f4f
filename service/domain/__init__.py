"""The rules: pure functions over frozen values that use only the standard library.

There is no clock (`now` is an argument, in epoch seconds), no environment, no input or output. Read in this order:
`catalogue` (what is sold), `sources` (what a reader has, and until when), `meter` (free stories), `decision` (which
features that adds up to, and the decision).
"""
