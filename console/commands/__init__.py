"""The commands of ``dsq``, a module for each group; loaded when one of them is used."""
