"""Unit tests start nothing and reach nothing outside 127.0.0.1."""

import pytest

pytest.register_assert_rewrite("tests.support.source_security")
