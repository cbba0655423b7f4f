"""`python -m service.entrypoints.cli`, for processes that the service starts itself."""

from service.entrypoints.cli import main

main(prog_name="paywall")
