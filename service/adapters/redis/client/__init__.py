"""The client: addresses, connections, discovery, the circuit breaker, scripts, and the names of keys."""
