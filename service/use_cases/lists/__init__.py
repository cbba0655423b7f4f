"""Lists of readers and grants, and the index that they are answered from."""
