"""Redis itself: its address, our keys and scripts, the rights that we need, and what its errors mean."""
