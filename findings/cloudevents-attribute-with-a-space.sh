#!/usr/bin/env bash
# CloudEvents: in binary mode, a subject with a space arrives changed in JavaScript.
#
# Versions: cloudevents 2.2.0 (PyPI) and cloudevents 10.0.0 (npm), each as sender and as receiver.
# Expected: binary mode puts the attributes into ce-* headers. The HTTP binding of CloudEvents 1.0 tells senders
#   to percent-encode a space, and receivers to decode it. So "shop 100%" arrives as "shop 100%".
# Seen: the Python SDK does both. The JavaScript SDK does neither: it sends the space as it is, and
#   reads "shop%20100%25" where the Python SDK sent "shop 100%". In structured mode, the subject is right.
# Why it matters: a receiver in JavaScript sees two subjects for one thing, depending on the sender's SDK and
#   mode. If it groups events by subject or by an extension, it splits the group. Send structured events, or
#   use attributes without spaces, quotes and percent signs.
# Needs: python3, node, npm.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cloudevents==2.2.0
npm install --prefix "$work" --silent --no-audit --no-fund cloudevents@10.0.0

cat > "$work/peer.py" <<'PYTHON'
import json
import sys

from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent

if sys.argv[1] == "send":
    attributes = {"id": "1", "source": "/ci", "type": "deploy", "specversion": "1.0", "subject": "shop 100%"}
    write = {"binary": http.to_binary_event, "structured": http.to_structured_event}[sys.argv[2]]
    message = write(CloudEvent({**attributes, "datacontenttype": "application/json"}, {}))
    print(json.dumps({"headers": message.headers, "body": message.body.decode()}))
else:
    message = json.load(sys.stdin)
    received = http.HTTPMessage(message["headers"], message["body"].encode())
    print(http.from_http_event(received).get_subject())
PYTHON
cat > "$work/peer.js" <<'JAVASCRIPT'
const { CloudEvent, HTTP } = require("cloudevents");
const [, , task, mode] = process.argv;
if (task === "send") {
  const event = new CloudEvent({ id: "1", source: "/ci", type: "deploy", subject: "shop 100%", data: {} });
  console.log(JSON.stringify(HTTP[mode](event)));
} else {
  console.log(HTTP.toEvent(JSON.parse(require("fs").readFileSync(0, "utf8"))).subject);
}
JAVASCRIPT
python() { "$work/venv/bin/python" "$work/peer.py" "$@"; }
javascript() { node "$work/peer.js" "$@"; }

seen=$(for mode in structured binary; do
    echo "$mode, Python to JavaScript: $(python send "$mode" | javascript receive)"
    echo "$mode, JavaScript to Python: $(javascript send "$mode" | python receive)"
done)
sent=$(javascript send binary | node -p 'JSON.parse(require("fs").readFileSync(0)).headers["ce-subject"]')
seen="$seen
binary, header of JavaScript: $sent"
expected="structured, Python to JavaScript: shop 100%
structured, JavaScript to Python: shop 100%
binary, Python to JavaScript: shop%20100%25
binary, JavaScript to Python: shop 100%
binary, header of JavaScript: shop 100%"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "CHANGED: this finding no longer holds." >&2
    exit 1
fi
echo "As described."
