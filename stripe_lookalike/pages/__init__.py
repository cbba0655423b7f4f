"""The pages that Stripe hosts (checkout and portal), and the backstage page of the demo."""
