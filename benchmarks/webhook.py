"""adnanh/webhook, the usual answer to "run something when a webhook comes", where it is installed.

https://github.com/adnanh/webhook; Debian's package is `webhook`. It checks the signature, reads the JSON and
starts a program, here the smallest there is. It stores nothing, so what it does not get done is lost.
"""

import json
import shutil
from pathlib import Path

from benchmarks.deliveries import SECRET
from receiver.local.stack import LOOPBACK


def is_installed() -> bool:
    return shutil.which("webhook") is not None


def command(folder: Path, port: int) -> list[str]:
    """Writes its configuration to `folder`."""
    rule = {
        "type": "payload-hmac-sha256",
        "secret": SECRET,
        "parameter": {"source": "header", "name": "X-Hub-Signature-256"},
    }
    hook = {
        "id": "github",
        "execute-command": "/bin/true",
        "success-http-response-code": 202,
        "trigger-rule": {"match": rule},
    }
    hooks = folder / "hooks.json"
    hooks.write_text(json.dumps([hook]), encoding="utf-8")
    named = {"-hooks": str(hooks), "-ip": LOOPBACK, "-port": str(port), "-urlprefix": "webhooks"}
    return ["webhook", *(word for pair in named.items() for word in pair)]
