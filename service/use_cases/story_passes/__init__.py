"""Links that open one story, and gifts of readers."""
