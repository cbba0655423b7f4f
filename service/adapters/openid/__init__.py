"""Sign-in of staff by OpenID Connect: the provider's metadata and keys, the authorization code flow, ID token checks."""
