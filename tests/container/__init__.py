"""The Dockerfile, built and run for real by podman: `make container`, as root or with sudo."""
