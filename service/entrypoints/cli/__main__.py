"""`python -m service.cli`, for processes that the service starts itself."""

from service.cli import main

main(prog_name="paywall")
