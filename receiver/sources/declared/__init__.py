"""Senders that a table of apitraffic.toml describes, `[[sender]]`, and no code: docs/senders/declared.md.

`source_of` makes a `Source` of such a description, which is then one like any other. Expressions are compiled
once; what they may cost is bounded, whatever the description or the payload is.
"""

from receiver.sources.declared.source import DeclaredSource, source_of

__all__ = ["DeclaredSource", "source_of"]
