# shellcheck shell=bash
# Sourced by the scripts beside it: a receiver, a worker and a local Events API for one preset.
#
# shellcheck disable=SC2034  # secret and url are for the scripts
# Sets work (a folder that is removed at the end), url, secret and events, which prints what the API lists.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
commands=${COMMANDS:-$root/.venv/bin}
work=$(mktemp -d)
end_all() {
    # Those that this script has started, and nobody else's.
    for job in $(jobs -p); do kill "$job" 2> /dev/null || true; done
    wait
    rm -rf "$work"
}
trap end_all EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# start_receiver PRESET
start_receiver() {
    local port api_port variable
    port=$(free_port)
    api_port=$(free_port)
    variable=$(echo "$1" | tr 'a-z-' 'A-Z_')_WEBHOOK_SECRET
    secret=$(openssl rand -hex 32)
    url="http://127.0.0.1:$port/webhooks/$1"
    (
        cd "$work"
        unset APITRAFFIC_API_TOKEN REDIS_URL
        export "$variable=$secret"
        exec "$commands/apitraffic-events" up --port "$port" --api-port "$api_port" --data-dir "$work/data"
    ) > "$work/receiver.log" 2>&1 &
    for _ in $(seq 300); do
        if curl --silent --fail --output /dev/null "http://127.0.0.1:$port/readyz"; then break; fi
        sleep 0.1
    done
    export APITRAFFIC_API_URL="http://127.0.0.1:$api_port/v1" APITRAFFIC_ACCOUNT_SID=$(local_account)
    APITRAFFIC_API_TOKEN=$(cat "$work"/data/*/APITRAFFIC_API_TOKEN)
    export APITRAFFIC_API_TOKEN
}

local_account() { "$commands/python" -c 'from receiver.local.events_api.options import LOCAL_ACCOUNT_SID; print(LOCAL_ACCOUNT_SID)'; }

# events FILTER: a line for each event that the API lists, oldest first, by the jq-like Python expression over e
events() {
    (cd "$work" && "$commands/apitraffic-events" events list --json --limit 100) | python3 -c '
import json, sys
for line in reversed(sys.stdin.readlines()):
    e = json.loads(line)
    m = e.get("metadata", {})
    print(eval(sys.argv[1]))
' "$1"
}

# wait_for COUNT: until the API lists so many events
wait_for() {
    for _ in $(seq 600); do
        if [ "$(events 'e["name"]' | wc -l)" -ge "$1" ]; then return; fi
        sleep 0.1
    done
    echo "Only these came:" >&2
    events 'e["name"]' >&2
    tail -20 "$work/receiver.log" >&2
    return 1
}

# compare WANTED SEEN
compare() {
    printf '%s\n' "$2"
    if [ "$1" != "$2" ]; then
        printf 'WANTED:\n%s\n' "$1" >&2
        return 1
    fi
    echo "As described."
}
