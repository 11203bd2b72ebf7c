"""What a turn can use: the registry, and the tools that are always there."""
