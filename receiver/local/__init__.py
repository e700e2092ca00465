"""What makes the receiver run with nothing else installed."""
