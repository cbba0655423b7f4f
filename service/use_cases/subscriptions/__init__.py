"""The processor: takes what Stripe tells to the readers whose it is. It knows the store and billing, not Flask.

`work` is the one way of an event or of anything else that has changed: take a number, read, apply, spread, done.
`spreading` gives every reader the copy that is theirs, `owning` says whose an object is, `payloads` stands in while Stripe
cannot be read. `processor` is what web and command line call; `catchup`, `sweep` and `chores` are what the worker does. All
of it can be repeated: whoever comes after a crash does the same again, and nothing is done twice with another result.
"""
