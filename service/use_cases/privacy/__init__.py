"""A reader's rights: export, erasure, retention."""
