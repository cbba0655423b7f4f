"""The demo: a small newspaper, the real service and a Stripe look-alike on one machine.

`paywall demo` starts them (`run.py`). The service imports nothing from here.
"""
