"""`make container`: the Dockerfile's own steps and its final command, where no container engine runs."""
