"""What people use: the ``dsq`` command, the consoles, and grids on this machine."""
