#!/usr/bin/env bash
# Buildbot, really run: its builds become the right markers through the preset `buildbot`.
#
# Version: buildbot 4.3.0 (PyPI). Needs: python3, openssl, curl. Takes about a minute; not part of `make test`.
set -euo pipefail
# shellcheck source=tests/senders/stack.sh
source "$(dirname "$0")/stack.sh"
start_receiver buildbot
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
    buildbot==4.3.0 buildbot-worker==4.3.0 treq==26.7.0 Twisted==26.10.0 2> pip.log
venv/bin/buildbot create-master --quiet master

cat > master/master.cfg <<'PYTHON'
import os

from buildbot.plugins import reporters, schedulers, util, worker
from buildbot.process import results
from buildbot.process.buildstep import BuildStep

class Ends(BuildStep):
    warnOnWarnings = True

    def __init__(self, result):
        super().__init__()
        self.result = result

    async def run(self):
        return self.result

RESULTS = (results.SUCCESS, results.WARNINGS, results.FAILURE, results.EXCEPTION, results.CANCELLED)
NAMES = {result: f"deploy-{results.Results[result]}" for result in RESULTS} | {None: "unit-tests"}
# As docs/senders/buildbot.md has it.
as_json = reporters.MessageFormatterFunction(lambda context: context["build"], "json")
BuildmasterConfig = {
    "workers": [worker.LocalWorker("local")],
    "protocols": {"null": {}},
    "builders": [
        util.BuilderConfig(name, workernames=["local"], factory=util.BuildFactory([Ends(result or 0)]))
        for result, name in NAMES.items()
    ],
    "schedulers": [schedulers.Periodic(name, builderNames=[name], periodicBuildTimer=3600) for name in NAMES.values()],
    "services": [
        reporters.HttpStatusPush(
            serverUrl=os.environ["RECEIVER"],
            auth=("buildbot", os.environ["SECRET"]),
            generators=[reporters.BuildStatusGenerator(mode="all", message_formatter=as_json)],
        ),
        # With starts, which make no marker.
        reporters.HttpStatusPush(os.environ["RECEIVER"], auth=("buildbot", os.environ["SECRET"]), name="default"),
    ],
    "buildbotNetUsageData": None,
}
PYTHON
RECEIVER=$url SECRET=$secret venv/bin/buildbot start --nodaemon master > master.log 2>&1 &

wait_for 5
sleep 3 # for what must not come
seen=$(events "f\"{e['type']}: {e['name']}: {m['status']}, build {m['run_number']}\"" | sort)
compare "deployment: Cancelled deploy cancelled: cancelled, build 1
deployment: Deploy success: success, build 1
deployment: Deploy warnings: warnings, build 1
deployment: Failed deploy exception: failure, build 1
deployment: Failed deploy failure: failure, build 1" "$seen"
grep -o "source=buildbot.*delivery_event=[^ ]*" "$work/receiver.log" | sed 's/delivery=.*//' | sort | uniq -c
