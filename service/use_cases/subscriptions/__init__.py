"""Subscriptions: from what Stripe reports to what each reader holds. No Flask, and Stripe only as `StripeApi`.

`event_processor` receives events. `object_refresh` takes a number, reads the object from Stripe, applies it and finishes
its events. `fan_out` writes a copy to each holder: `owner_resolution` finds the owner, `projections` what they hold, and
`related_objects` what objects report about each other. The worker runs `scheduled_jobs`, `catch_up` and `full_sync`;
admins use `subscription_admin`, and who owns a group `owned_groups`. `link_imports` links many objects to readers, and
`bulk_fan_out` fans them out together. Every step can be repeated after a crash with the same result.
"""
