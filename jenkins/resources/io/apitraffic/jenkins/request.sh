#!/bin/sh
# One HTTP request for Http.groovy, which documents the environment and the output.
# curl reads the secret from its standard input, so that it is in no list of processes.
set -u
umask 077

trap 'rm -f "$APITRAFFIC_FILE.json" "$APITRAFFIC_FILE.head" "$APITRAFFIC_FILE.body" "$APITRAFFIC_FILE.words"' EXIT
trap 'exit 143' HUP INT TERM

command -v curl >/dev/null 2>&1 || { echo 127; echo 'curl is missing'; exit 0; }

set -- --silent --show-error --config - --globoff --proto '=http,https' --max-time "$APITRAFFIC_SECONDS" \
  --max-filesize 16000000 --request "$APITRAFFIC_METHOD" \
  --dump-header "$APITRAFFIC_FILE.head" --output "$APITRAFFIC_FILE.body" \
  --header 'Accept: application/json' --header 'Content-Type: application/json' --header 'Expect:'
if [ -f "$APITRAFFIC_FILE.json" ]; then
  set -- "$@" --data-binary "@$APITRAFFIC_FILE.json"
fi
if [ -n "${APITRAFFIC_DELIVERY:-}" ]; then
  set -- "$@" --header "webhook-id: $APITRAFFIC_DELIVERY"
fi

secret=$(printf '%s' "$APITRAFFIC_SECRET" | tr -d '\r\n' | sed 's/^[[:space:]]*//; s/[[:space:]]*$//; s/[\\"]/\\&/g')
code=0
printf 'header = "Authorization: Bearer %s"\n' "$secret" |
  curl "$@" --url "$APITRAFFIC_ADDRESS" 2>"$APITRAFFIC_FILE.words" || code=$?

echo "$code"
head -n 1 "$APITRAFFIC_FILE.words" | grep . || echo
if [ "$code" = 0 ]; then
  tr -d '\r' <"$APITRAFFIC_FILE.head"
  [ ! -f "$APITRAFFIC_FILE.body" ] || cat "$APITRAFFIC_FILE.body"
fi
