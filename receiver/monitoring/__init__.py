"""What waits, since when, and who works on it."""
