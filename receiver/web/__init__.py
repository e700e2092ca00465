"""The Flask application: webhooks, health and metrics, error responses."""
