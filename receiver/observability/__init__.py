"""Lines, figures and traces for whoever watches."""
