"""dsq-console: the user's console."""
