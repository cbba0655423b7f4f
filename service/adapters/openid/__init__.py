"""Sign-in of staff by OpenID Connect: asks the provider, checks what it says, and knows nothing of pages or of the store."""
