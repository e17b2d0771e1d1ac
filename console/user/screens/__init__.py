"""The views of dsq-console, one a file."""
