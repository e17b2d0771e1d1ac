"""dsq-provider: the screen of a provider's supervisor."""
