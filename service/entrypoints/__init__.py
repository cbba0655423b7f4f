"""The ways in: HTTP, the command line, and the processes that run them."""
