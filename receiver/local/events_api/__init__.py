"""A stand-in for the vendor's Events API on SQLite, for demonstrations, tests and chaos runs.

It keeps the contract of the vendor's public reference. Where that reference is silent it accepts what a
reasonable client may send, and can be told to behave either way (`Options`).
"""
