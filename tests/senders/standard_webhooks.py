"""The libraries of Standard Webhooks and of Svix, really run: what they sign passes, with each form of a secret.

`python -m tests.senders.standard_webhooks`; installs the libraries from PyPI and npm into a temporary folder.
"""

import base64
import json
import subprocess
import sys
import tempfile
import venv
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from receiver.sources.native import NATIVE, SECRET_VARIABLE

KEY: Final = bytes(range(190, 256))
"""Whose base64 has both characters that are others in URLs."""
SECRETS: Final = {
    "padded": "whsec_" + base64.b64encode(KEY).decode(),
    "unpadded": "whsec_" + base64.b64encode(KEY[:-1]).decode().rstrip("="),
    "without whsec_": base64.b64encode(KEY).decode(),
    "URL-safe": "whsec_" + base64.urlsafe_b64encode(KEY).decode(),
}
BODY: Final = '{"type": "custom", "name": "Sale begins"}'
PACKAGES: Final = ("standardwebhooks==1.1.0", "svix==2.9.1")
NPM_PACKAGES: Final = ("standardwebhooks@1.1.1", "svix@2.5.0")

PYTHON: Final = """
import importlib, json, sys
from datetime import datetime, timezone
module, secret, body = sys.argv[1:]
at = datetime.now(timezone.utc)
signed = importlib.import_module(f"{module}.webhooks").Webhook(secret).sign("msg_1", at, body)
print(json.dumps([str(int(at.timestamp())), signed]))
"""
JAVASCRIPT: Final = """
const [library, secret, body] = process.argv.slice(2);
const at = new Date();
const signed = new (require(library).Webhook)(secret).sign('msg_1', at, body);
console.log(JSON.stringify([String(Math.floor(at.getTime() / 1000)), signed]));
"""


def passes(secret: str, timestamp: str, signature: str, brand: str) -> bool:
    headers = {f"{brand}-id": "msg_1", f"{brand}-timestamp": timestamp, f"{brand}-signature": signature}
    return NATIVE.verify(headers, BODY.encode(), {SECRET_VARIABLE: (secret.encode(),)}, datetime.now(UTC))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="standard-webhooks-") as name:
        folder = Path(name)
        venv.create(folder / "python", with_pip=True)
        python = str(folder / "python" / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], cwd=folder, check=True)
        (folder / "package.json").write_text(json.dumps({"private": True}))
        subprocess.run(["npm", "install", "--silent", *NPM_PACKAGES], cwd=folder, check=True)
        (folder / "sign.py").write_text(PYTHON)
        (folder / "sign.js").write_text(JAVASCRIPT)
        failed = 0
        for program, library in (
            (program, library)
            for program in ("sign.py", "sign.js")
            for library in ("standardwebhooks", "svix")
        ):
            for form, secret in SECRETS.items():
                command = [python if program == "sign.py" else "node", program, library, secret, BODY]
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"      {program} {library}, {form}: the library refuses the secret")
                    continue
                timestamp, signature = json.loads(done.stdout)
                is_right = all(passes(secret, timestamp, signature, brand) for brand in ("webhook", "svix"))
                failed += not is_right
                print("ok   " if is_right else "WRONG", f"{program} {library}, {form}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
