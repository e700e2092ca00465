"""docs/events.md, with the presets: `make docs` writes it, a test compares it."""

from receiver.config.senders import preset_names, read_preset
from receiver.sources import matrix


def document() -> str:
    """The content of docs/events.md."""
    return matrix.document(map(read_preset, preset_names()))


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201 - what it is for
