from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from receiver.local.events_api.app import create_app
from receiver.local.events_api.options import LOCAL_ACCOUNT_SID, Options

TOKEN = "contract-token"

Call = Callable[..., TestResponse]


@pytest.fixture
def new_api(tmp_path: Path) -> Iterator[Callable[..., Call]]:
    """Make an API in this process: `new_api(envelope=True, clock=…)` gives `call(method, path, json=…)`.

    Paths are below the account unless `below=""` says otherwise.
    """
    with ExitStack() as opened:

        def make(clock: Callable[[], float] | None = None, **options: Any) -> Call:
            settings = Options(**{"data": tmp_path / "events.sqlite", "token": TOKEN, **options})
            app = create_app(settings) if clock is None else create_app(settings, clock)
            opened.callback(app.close)
            client = Client(app)

            def call(
                method: str,
                path: str,
                *,
                below: str = f"/v1/accounts/{settings.account_sid}",
                authorization: str | None = f"Bearer {TOKEN}",
                **kwargs: Any,
            ) -> TestResponse:
                headers = {} if authorization is None else {"Authorization": authorization}
                return client.open(below + path, method=method, headers=headers, **kwargs)

            return call

        yield make


@pytest.fixture
def call(new_api: Callable[..., Call]) -> Call:
    return new_api()


@pytest.fixture
def account_sid() -> str:
    return LOCAL_ACCOUNT_SID
