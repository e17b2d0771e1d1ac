"""Widgets that both consoles share, and the pure text functions under them."""
