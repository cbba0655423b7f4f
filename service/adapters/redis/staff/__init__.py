"""Records about admins: API keys, approvals, sessions, idempotency keys, wrong keys."""
