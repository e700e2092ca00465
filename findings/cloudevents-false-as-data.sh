#!/usr/bin/env bash
# CloudEvents: data that is `false` or `0` is lost between the Python SDK and the JavaScript SDK.
#
# Versions: cloudevents 2.2.0 (PyPI) sends, cloudevents 10.0.0 (npm) reads.
# Expected: data may be any JSON value. An event with datacontenttype application/json and the
#   data false, as a feature flag's state might be, arrives as false in both HTTP modes.
# Seen: in structured mode, the Python SDK sends "data": false. The JavaScript SDK drops it: data is
#   undefined, as in an event without data. In binary mode, the Python SDK sends the body False with
#   Content-Type: application/json. That is Python and not JSON, and the JavaScript SDK returns the
#   string "False", which an `if` takes for true. 0 becomes undefined and the string "0".
# Why it matters: "switched off" is read as "unknown" or even as "on". Put the value into an
#   object: {"enabled": false} arrives in both modes.
# Needs: python3, node, npm.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cloudevents==2.2.0
npm install --prefix "$work" --silent --no-audit --no-fund cloudevents@10.0.0

cat > "$work/sender.py" <<'PYTHON'
import json

from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

ATTRIBUTES = {
    "id": "1",
    "source": "/flags",
    "type": "com.example.flag",
    "specversion": "1.0",
    "datacontenttype": "application/json",
}
for data in (False, 0, {"enabled": False}):
    for mode, write in (("structured", to_structured_event), ("binary", to_binary_event)):
        message = write(CloudEvent(dict(ATTRIBUTES), data))
        body = message.body.decode()
        print(json.dumps({"sent": json.dumps(data), "mode": mode, "headers": message.headers, "body": body}))
PYTHON
cat > "$work/receiver.js" <<'JAVASCRIPT'
const { HTTP } = require("cloudevents");
for (const line of require("fs").readFileSync(0, "utf8").trim().split("\n")) {
  const { sent, mode, headers, body } = JSON.parse(line);
  const { data } = HTTP.toEvent({ headers, body });
  console.log(`${sent} ${mode}: ${typeof data} ${JSON.stringify(data)}`);
}
JAVASCRIPT

seen=$("$work/venv/bin/python" "$work/sender.py" | node "$work/receiver.js")
expected='false structured: undefined undefined
false binary: string "False"
0 structured: undefined undefined
0 binary: string "0"
{"enabled": false} structured: object {"enabled":false}
{"enabled": false} binary: object {"enabled":false}'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "CHANGED: this finding no longer holds." >&2
    exit 1
fi
echo "As described."
