#!/usr/bin/env bash
# Alertmanager: a "resolved" may carry a startsAt that no "firing" had.
#
# Version: Alertmanager 0.25.0-1+b4, Debian 12's package.
# Expected: an alert's labels (its fingerprint) and its startsAt name one occurrence. The webhook that
#   resolves it has the same two values as the one that reported it.
# Seen: an alert fires, and the webhook is sent. Then it ends and fires again before group_interval has passed,
#   so that Alertmanager sends nothing: the alert was firing before and is firing now. When it ends for good, one
#   webhook is sent, "resolved", with the startsAt of the second occurrence, which no webhook had reported.
# Why it matters: a receiver that finds what to close by fingerprint and startsAt finds nothing, and the first
#   occurrence stays open forever. Close the open occurrence that has the fingerprint, whatever its startsAt.
# Needs: Debian 12 (apt-get, dpkg-deb), unshare, curl, python3. Takes about 20 seconds.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq prometheus-alertmanager=0.25.0-1+b4 2> download.log || { cat download.log >&2; exit 2; }
dpkg-deb --extract prometheus-alertmanager_*.deb package

wait_until() {
    for _ in $(seq 300); do
        if "$@" > /dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "Waited too long for: $*" >&2
    exit 2
}

cat > receiver.py <<'PYTHON'
import http.server
import json

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        for alert in json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]:
            print(f"webhook: {alert['status']}, startsAt {alert['startsAt']}", file=open("seen", "a"))
        self.send_response(200)
        self.end_headers()

server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, file=open("port", "w"), flush=True)
server.serve_forever()
PYTHON
touch seen
python3 receiver.py 2> /dev/null &
wait_until test -s port

cat > alertmanager.yml <<YAML
route: {receiver: hook, group_wait: 0s, group_interval: 5s, repeat_interval: 1h}
receivers: [{name: hook, webhook_configs: [{url: "http://127.0.0.1:$(cat port)/"}]}]
YAML
# The program reads its templates from /usr/share. In a mount namespace of its own, that is the package's folder.
cat > start.sh <<'SHELL'
mount --bind package/usr/share /usr/share
exec package/usr/bin/prometheus-alertmanager --config.file=alertmanager.yml \
    --web.listen-address=127.0.0.1:0 --cluster.listen-address=
SHELL
unshare --map-root-user --mount sh start.sh 2> log &
wait_until grep 'Listening on' log
address=$(sed -n 's/.*"Listening on" address=//p' log)

alert() { # startsAt endsAt
    curl --silent --show-error --fail --header 'Content-Type: application/json' "http://$address/api/v2/alerts" \
        --data "[{\"labels\": {\"alertname\": \"HighLatency\"}, \"startsAt\": \"$1\", \"endsAt\": \"$2\"}]"
}
minutes() { date --utc --date "$1 minutes" +%Y-%m-%dT%H:%M:%SZ; }
first=$(minutes -10)
second=$(minutes -2)

alert "$first" "$(minutes +60)"
wait_until grep firing seen
alert "$first" "$(minutes -5)"
alert "$second" "$(minutes +60)"
sleep 11 # two group_intervals
alert "$second" "$(minutes -1)"
wait_until grep resolved seen

seen=$(sed "s/$first/of the first occurrence/; s/$second/of the second occurrence/" seen)
expected="webhook: firing, startsAt of the first occurrence
webhook: resolved, startsAt of the second occurrence"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "CHANGED: this finding no longer holds." >&2
    exit 1
fi
echo "As described."
