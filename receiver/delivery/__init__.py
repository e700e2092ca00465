"""Making the API show what is known of a marker, once."""
