"""The pages that Stripe hosts: where a reader pays, and where a reader looks after a subscription."""
