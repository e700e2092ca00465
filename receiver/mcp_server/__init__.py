"""The Events API as tools that an assistant calls: Model Context Protocol, with the official Python SDK.

`arguments -> tools -> server -> http`; only the last two know the protocol, so that the others can be read
without it.
"""
