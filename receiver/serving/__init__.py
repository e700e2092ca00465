"""gunicorn, and who may use how much of it. Nothing else imports it."""
