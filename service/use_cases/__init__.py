"""What the service does, without HTTP, click or Flask."""
