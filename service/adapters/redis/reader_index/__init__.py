"""The index of readers and grants, from which lists are answered."""
