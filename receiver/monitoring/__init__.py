"""What is waiting, since when, and which workers there are."""
