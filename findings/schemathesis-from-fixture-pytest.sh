#!/usr/bin/env bash
# Schemathesis: tests of a schema that is a fixture fail with pytest 9.2, and pass with pytest 9.1.
#
# Versions: schemathesis 4.32.5 with pytest 9.2.0 and with pytest 9.1.1 (all PyPI).
# Expected: schemathesis.pytest.from_fixture("schema").parametrize() runs the test once for each operation, as
#   schema.parametrize() does. schemathesis 4.32.5 asks for pytest>=8,<10, so pip installs 9.2.
# Seen: every such test fails with AttributeError: 'Function' object has no attribute '_nodeid'. schemathesis reads
#   that private attribute of a test, and pytest 9.2 has none. A schema that is no fixture is not concerned.
# Why it matters: a schema that is read at import is read, and its cases are generated, by each process of
#   pytest-xdist. A fixture avoids that. Until schemathesis is changed, an autouse fixture with
#   request.node._nodeid = request.node.nodeid makes it work.
# Needs: python3.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/test_schema.py" <<'PYTHON'
import pytest
import schemathesis

DESCRIPTION = {
    "openapi": "3.0.3",
    "info": {"title": "One operation", "version": "1"},
    "paths": {"/health": {"get": {"responses": {"200": {"description": "OK"}}}}},
}


@pytest.fixture
def schema():
    return schemathesis.openapi.from_dict(DESCRIPTION)


@schemathesis.pytest.from_fixture("schema").parametrize()
def test_an_operation_of_a_fixture(case):
    assert case.path == "/health"


@schemathesis.openapi.from_dict(DESCRIPTION).parametrize()
def test_an_operation(case):
    assert case.path == "/health"
PYTHON

seen=""
for version in 9.1.1 9.2.0; do
    python3 -m venv "$work/$version"
    "$work/$version/bin/pip" install --quiet --disable-pip-version-check "pytest==$version" schemathesis==4.32.5
    output=$("$work/$version/bin/pytest" -q -p no:cacheprovider "$work/test_schema.py" 2>&1 || true)
    seen+="pytest $version: $(tail -n 1 <<< "$output" | sed 's/ in [0-9.]*s.*//')"
    seen+=$(grep -o "'Function' object has no attribute '_nodeid'" <<< "$output" | sort -u | sed 's/^/; /' || true)
    seen+=$'\n'
done
seen=${seen%$'\n'}

expected="pytest 9.1.1: 2 passed, 1 subtests passed
pytest 9.2.0: 1 failed, 1 passed; 'Function' object has no attribute '_nodeid'"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "CHANGED: this finding no longer holds." >&2
    exit 1
fi
echo "As described."
