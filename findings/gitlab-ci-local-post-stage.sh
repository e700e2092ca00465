#!/usr/bin/env bash
# gitlab-ci-local: a job of the stage .post with `when: always` does not run if a stage before it was skipped.
#
# Version: gitlab-ci-local 4.72.0 (npm); 4.61.1 does the same.
# Expected: `.post` is the stage for jobs that run last, such as one that reports how the pipeline went.
#   With `when: always` or `when: on_failure`, it runs after a failed build whether or not there are stages between.
# Seen: build fails. If the pipeline has only build and .post, both jobs of .post run. With a job in the
#   stage deploy between them, which is skipped because build failed, neither of them runs, and nothing says so.
# Why it matters: a job that reports how a deployment ended seems broken in a local run, although its
#   rules are right. To see it run, take the stages between out of the pipeline or give the job `needs`.
# Needs: node, npm, git.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

npm install --prefix "$work" --silent --no-audit --no-fund gitlab-ci-local@4.72.0
mkdir "$work/repository"
cd "$work/repository"
git init --quiet
git remote add origin git@gitlab.example.com:acme/shop.git

pipeline_with() {
    cat > .gitlab-ci.yml <<YAML
stages: [build, deploy]
build: {stage: build, script: ["false"]}
$1
always: {stage: .post, when: always, script: [touch ran-always]}
on-failure: {stage: .post, when: on_failure, script: [touch ran-on-failure]}
YAML
    git add .gitlab-ci.yml
    git -c user.name=Alice -c user.email=alice@example.com commit --quiet --message pipeline
    rm -f ran-*
    "$work/node_modules/.bin/gitlab-ci-local" --force-shell-executor > "$work/log" 2>&1 || true
    grep --quiet 'FAIL.*build' "$work/log" || { cat "$work/log" >&2; exit 2; }
    for job in always on-failure; do
        if [ -e "ran-$job" ]; then printf ' %s' "$job"; fi
    done
}

seen=".post jobs that ran, without a job between:$(pipeline_with "")
.post jobs that ran, with a skipped job between:$(pipeline_with "deploy: {stage: deploy, script: [touch ran-deploy]}")"
expected=".post jobs that ran, without a job between: always on-failure
.post jobs that ran, with a skipped job between:"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "CHANGED: this finding no longer holds." >&2
    exit 1
fi
echo "As described."
