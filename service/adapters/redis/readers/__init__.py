"""Records of readers: their sources, meters, customers and history."""
