#!/usr/bin/env bash
# podman-compose: `deploy.replicas` is ignored unless `deploy.mode` is there too.
#
# Version: podman-compose 1.6.0 (PyPI).
# Expected: in the Compose specification, `mode` is `replicated` by default. So `deploy: {replicas: 2}` starts two
#   containers, as it does with Docker Compose.
# Seen: one container is started, without a warning. With `deploy: {mode: replicated, replicas: 2}`, two are.
# Why it matters: half of the workers are missing, and everything looks right. Name the mode, which is correct for
#   both programs.
# Needs: python3. A stand-in for podman writes down what it is told, so podman itself is not needed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check podman-compose==1.6.0

cat > "$work/podman" <<SH
#!/bin/sh
echo "\$1" >> "$work/calls"
case "\$1" in
--version) echo "podman version 5.0.0" ;;
ps) echo "[]" ;;
esac
SH
chmod +x "$work/podman"

containers_with() {
    printf 'services:\n  worker: {image: busybox, deploy: %s}\n' "$1" > "$work/compose.yaml"
    : > "$work/calls"
    (cd "$work" && venv/bin/podman-compose --podman-path "$work/podman" up --detach > log 2>&1) ||
        { cat "$work/log" >&2; exit 2; }
    grep --count --line-regexp create "$work/calls"
}

seen="containers for {replicas: 2}: $(containers_with "{replicas: 2}")
containers for {mode: replicated, replicas: 2}: $(containers_with "{mode: replicated, replicas: 2}")"
expected="containers for {replicas: 2}: 1
containers for {mode: replicated, replicas: 2}: 2"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "CHANGED: this finding no longer holds." >&2
    exit 1
fi
echo "As described."
