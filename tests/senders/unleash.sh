#!/usr/bin/env bash
# Unleash, really run on PostgreSQL: its events become the right markers through the preset `unleash`.
#
# Version: unleash-server 8.2.0 (npm), PostgreSQL 15 (Debian's package postgresql). Needs: python3, openssl, curl, npm,
# node 20 or newer. Takes four minutes; not part
# of `make test`.
set -euo pipefail
# shellcheck source=tests/senders/stack.sh
source "$(dirname "$0")/stack.sh"
start_receiver unleash
cd "$work"
chmod 711 "$work"

postgres=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
as_postgres=()
mkdir pg
if [ "$(id -u)" = 0 ]; then
    chown postgres pg
    as_postgres=(runuser -u postgres --)
fi
database_port=$(free_port)
"${as_postgres[@]}" "$postgres/initdb" --auth=trust --username=unleash "$work/pg" > initdb.log
"${as_postgres[@]}" "$postgres/postgres" -D "$work/pg" -p "$database_port" -k "$work/pg" -h 127.0.0.1 > postgres.log 2>&1 &
until "$postgres/pg_isready" --quiet -h 127.0.0.1 -p "$database_port"; do sleep 0.1; done
"$postgres/createdb" -h 127.0.0.1 -p "$database_port" -U unleash unleash

npm init --yes > npm.log
npm install --no-audit --no-fund --silent unleash-server@8.2.0 >> npm.log 2>&1
port=$(free_port)
cat > start.js <<'JS'
require("unleash-server").start({
  server: { port: Number(process.env.PORT), host: "127.0.0.1" },
  db: { host: "127.0.0.1", port: Number(process.env.DB_PORT), user: "unleash", password: "", database: "unleash", ssl: false },
  authentication: { type: "open-source", initApiTokens: [] },
  versionCheck: { enable: false },
  telemetry: false,
}).then(() => console.log("started"), (error) => { console.error(error); process.exit(1); });
JS
INIT_ADMIN_API_TOKENS='*:*.unleash-insecure-admin-api-token' UNLEASH_ALLOW_PRIVATE_URL_IN_INTEGRATION=true \
    CHECK_VERSION=false PORT=$port DB_PORT=$database_port node start.js > unleash.log 2>&1 &
for _ in $(seq 900); do
    if curl --silent --fail --output /dev/null "http://127.0.0.1:$port/health"; then break; fi
    sleep 0.1
done

api() { # api METHOD PATH [BODY]
    curl --silent --show-error --fail-with-body --output answer --request "$1" "http://127.0.0.1:$port/api/admin/$2" \
        --header 'Authorization: *:*.unleash-insecure-admin-api-token' --header 'Content-Type: application/json' \
        ${3:+--data "$3"} || { cat answer >&2; return 1; }
}

# As docs/senders/unleash.md has it.
kinds='"feature-environment-enabled","feature-environment-disabled","feature-strategy-add","feature-strategy-update",
  "feature-strategy-remove","feature-created","feature-archived","feature-deleted","segment-created","segment-updated"'
api POST addons '{"provider": "webhook", "enabled": true, "description": "markers", "events": ['"$kinds"'],
  "parameters": {"url": "'"$url"'", "authorization": "Bearer '"$secret"'"}}'
sleep 65 # Unleash keeps its list of webhooks for a minute

flag=projects/default/features
api POST $flag '{"name": "new-cart", "type": "release"}'
api POST $flag/new-cart/environments/production/strategies '{"name": "flexibleRollout",
  "parameters": {"rollout": "25", "stickiness": "default", "groupId": "new-cart"}}'
strategy=$(python3 -c 'import json; print(json.load(open("answer"))["id"])')
api POST $flag/new-cart/environments/production/on
wait_for 2
api PUT "$flag/new-cart/environments/production/strategies/$strategy" '{"name": "flexibleRollout",
  "parameters": {"rollout": "100", "stickiness": "default", "groupId": "new-cart"}}'
wait_for 3
api POST $flag/new-cart/environments/production/off
wait_for 4
api POST $flag/new-cart/environments/development/on
wait_for 6 # the first strategy comes with it
api DELETE $flag/new-cart
wait_for 7
sleep 3 # for what must not come

seen=$(events "f\"{e['type']}: {e['name']} ({m.get('environment', 'everywhere')}, by {m['actor']})\"" | sort)
compare "config_change: Feature flag new-cart archived (everywhere, by admin)
config_change: Feature flag new-cart turned off (production, by admin)
config_change: Feature flag new-cart turned on (development, by admin)
config_change: Feature flag new-cart turned on (production, by admin)
config_change: Feature flag new-cart: strategy added (development, by admin)
config_change: Feature flag new-cart: strategy added (production, by admin)
config_change: Feature flag new-cart: strategy changed (production, by admin)" "$seen"
grep -o "source=unleash.*delivery_event=[^ ]*" "$work/receiver.log" | sed 's/delivery=.*//' | sort | uniq -c
