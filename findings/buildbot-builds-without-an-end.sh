#!/usr/bin/env bash
# Buildbot: HttpStatusPush reports every start of a build, but not its end if it was cancelled or broke down.
#
# Version: buildbot 4.3.0 (PyPI), with treq 26.7.0 and Twisted 26.10.0.
# Expected: the reporter HttpStatusPush, without further settings, posts once when a build starts and once,
#   with "complete": true, when it ends, however it ends.
# Seen: builds that succeed or fail have both. A build with the result EXCEPTION (4) or CANCELLED (6) has
#   only the first: its end is never sent. A second reporter, whose generator has mode="all", sends all four ends.
# Why it matters: to a receiver that shows builds from their start to their end, a build that was stopped or
#   broke down seems to run forever. Set mode="all", and let the receiver close such builds after a time.
# Needs: python3. Takes about a minute.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
    buildbot==4.3.0 buildbot-worker==4.3.0 treq==26.7.0 Twisted==26.10.0
venv/bin/buildbot create-master --quiet master

cat > master/master.cfg <<'PYTHON'
import os

from buildbot.plugins import reporters, schedulers, util, worker
from buildbot.process import results
from buildbot.process.buildstep import BuildStep

class Ends(BuildStep):
    def __init__(self, result):
        super().__init__()
        self.result = result

    async def run(self):
        return self.result

RESULTS = (results.SUCCESS, results.FAILURE, results.EXCEPTION, results.CANCELLED)
NAMES = {result: results.Results[result] for result in RESULTS}
as_json = reporters.MessageFormatterFunction(lambda context: context["build"], "json")
all_ends = reporters.BuildStatusGenerator(mode="all", report_new=True, message_formatter=as_json)
BuildmasterConfig = {
    "workers": [worker.LocalWorker("local")],
    "protocols": {"null": {}},
    "builders": [
        util.BuilderConfig(name, workernames=["local"], factory=util.BuildFactory([Ends(result)]))
        for result, name in NAMES.items()
    ],
    "schedulers": [schedulers.Periodic(name, builderNames=[name], periodicBuildTimer=3600) for name in NAMES.values()],
    "services": [
        reporters.HttpStatusPush(os.environ["RECEIVER"] + "/default", name="default"),
        reporters.HttpStatusPush(os.environ["RECEIVER"] + "/all", name="all", generators=[all_ends]),
    ],
    "buildbotNetUsageData": None,
}
PYTHON
cat > receiver.py <<'PYTHON'
import http.server
import json

class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        build = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        what = "end" if build["complete"] else "start"
        print(f"{self.path[1:]} {build['builder']['name']}: {what}", file=open("seen", "a"))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, file=open("port", "w"), flush=True)
server.serve_forever()
PYTHON
touch seen
venv/bin/python receiver.py 2> /dev/null &
until [ -s port ]; do sleep 0.1; done
RECEIVER="http://127.0.0.1:$(cat port)" venv/bin/buildbot start --nodaemon master > /dev/null &

for _ in $(seq 900); do
    if [ "$(grep -c '^all .*end' seen)" = 4 ]; then break; fi
    sleep 0.1
done
sleep 3 # for what might still come
seen=$(for reporter in default all; do
    for what in start end; do
        echo "$reporter, $what: $(sed -n "s/^$reporter \(.*\): $what/\1/p" seen | sort | xargs)"
    done
done)
expected="default, start: cancelled exception failure success
default, end: failure success
all, start: cancelled exception failure success
all, end: cancelled exception failure success"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "CHANGED: this finding no longer holds." >&2
    exit 1
fi
echo "As described."
