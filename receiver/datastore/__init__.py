"""Redis itself: its address, our keys, what it has to allow, and what to do where it does not."""
