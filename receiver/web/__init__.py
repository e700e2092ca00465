"""The Flask application: the way in, what watches it, errors."""
