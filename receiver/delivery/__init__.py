"""Delivering changes: the API shows what is known of each marker, once."""
