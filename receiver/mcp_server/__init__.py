"""The Events API as tools for AI assistants: Model Context Protocol, with the official Python SDK.

`arguments -> tools -> server -> http`; only the last two use the protocol.
"""
