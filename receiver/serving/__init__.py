"""Everything that knows gunicorn: its configuration, and what keeps slow or many clients from blocking it."""
