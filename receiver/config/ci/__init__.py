"""The CI job that this process runs in, from the variables that the CI system documents.

Names, metadata and marker keys are those of docs/ci-plugins.md, so that a job's script, a plugin and a
webhook make one marker and not several.
"""
