#!/usr/bin/env bash
# Standard Webhooks: the Python library signs another moment than the one it is given.
#
# Versions: standardwebhooks 1.1.0 (PyPI) signs; it and standardwebhooks 1.1.1 (npm) verify.
# Expected: sign() takes a datetime. 14:00+02:00 and 12:00Z are the same moment, and so is a naive local
#   14:00 on a machine two hours ahead of UTC. All three give the signature for the same webhook-timestamp.
# Seen: sign() replaces the time zone with UTC instead of converting to it. For 14:00+02:00 it signs
#   14:00Z, two hours off. Both libraries refuse the request with "No matching signature found".
# Why it matters: a sender that was written on a machine in UTC stops working elsewhere, and the message
#   points at the secret. Senders should pass datetime.now(UTC). Receivers cannot tell what is wrong.
# Needs: python3, node, npm.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check standardwebhooks==1.1.0
npm install --prefix "$work" --silent --no-audit --no-fund standardwebhooks@1.1.1

cat > "$work/sender.py" <<'PYTHON'
import json
from datetime import UTC, datetime, timedelta, timezone

from standardwebhooks import Webhook, WebhookVerificationError

BODY = '{"type": "deployment"}'
webhook = Webhook("whsec_" + "A" * 32)
now = datetime.now(UTC)
moments = {
    "in UTC": now,
    "two hours ahead": now.astimezone(timezone(timedelta(hours=2))),
    "naive, local": now.astimezone().replace(tzinfo=None),
}
for name, moment in moments.items():
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": webhook.sign("msg_1", moment, BODY),
    }
    try:
        webhook.verify(BODY, headers)
        verdict = "accepted"
    except WebhookVerificationError as error:
        verdict = str(error)
    print(json.dumps({"name": name, "headers": headers, "body": BODY, "python": verdict}))
PYTHON
cat > "$work/receiver.js" <<'JAVASCRIPT'
const { Webhook } = require("standardwebhooks");
const webhook = new Webhook("whsec_" + "A".repeat(32));
for (const line of require("fs").readFileSync(0, "utf8").trim().split("\n")) {
  const { name, headers, body, python } = JSON.parse(line);
  let verdict = "accepted";
  try { webhook.verify(body, headers); } catch (error) { verdict = error.message; }
  console.log(`${name}: Python: ${python}; JavaScript: ${verdict}`);
}
JAVASCRIPT

seen=$(TZ=Etc/GMT-2 "$work/venv/bin/python" "$work/sender.py" | node "$work/receiver.js")
expected="in UTC: Python: accepted; JavaScript: accepted
two hours ahead: Python: No matching signature found; JavaScript: No matching signature found
naive, local: Python: No matching signature found; JavaScript: No matching signature found"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "CHANGED: this finding no longer holds." >&2
    exit 1
fi
echo "As described."
