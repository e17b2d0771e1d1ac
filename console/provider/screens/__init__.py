"""The views of dsq-provider, one a file."""
