"""Templates of batch scripts, one a feature; text files only."""
