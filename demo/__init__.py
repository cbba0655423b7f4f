"""The demo: a small newspaper and a look-alike of Stripe around the real service, all on one machine.

`paywall demo` starts them (`run`). Nothing in the service imports from here.
"""
