"""Where the figures on the charts come from."""
