"""Settings from the environment and apitraffic.toml, checked at start."""
