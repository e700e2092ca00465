"""A local stand-in for the vendor's Events API, for demonstrations, tests and chaos runs.

It keeps the contract of the vendor's public reference. Where the reference leaves something open, it accepts
what a reasonable client may send, or offers both behaviours as an option (`Options`).
"""
