"""Check access, explain a decision, describe a reader."""
