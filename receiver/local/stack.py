"""The processes of local mode, which are configured through their environment, as everywhere else."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from receiver.datastore.keys import RQ_PREFIX
from receiver.local.data_folder import DataFolder
from receiver.local.errors import LocalModeError
from receiver.local.events_api.options import LOCAL_ACCOUNT_SID
from receiver.local.plain_http import answers_ok
from receiver.local.redis_server import RedisServer
from receiver.local.supervisor import Child
from receiver.serving.sockets import CannotListen, listen

REDIS: Final = "redis"
API: Final = "api"
WORKER: Final = "worker"
RECEIVER: Final = "receiver"
CONSOLE: Final = "console"

LOOPBACK: Final = "127.0.0.1"
"""The local Events API listens only here, whatever --host is: it is a stand-in, not a service."""

SLOW_STOP: Final = 25.0
"""Seconds; longer than the receiver and the worker need to finish requests and jobs after SIGTERM."""

PAYLOADS: Final = "200"
"""Of how many deliveries the console shows the payload, unless the environment says something else."""

API_TOKEN: Final = "APITRAFFIC_API_TOKEN"  # noqa: S105 - the variable's name


@dataclass(frozen=True)
class LocalStack:
    """`redis` is a server to run or the URL of another. `api_port` is None if the real API is used, and
    `console_port` if no console is wanted.

    All processes get `environment` and `secrets`, and what is set here.
    """

    folder: DataFolder
    redis: RedisServer | str = field(repr=False)
    host: str
    port: int
    api_port: int | None
    environment: Mapping[str, str] = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)
    console_port: int | None = None

    @property
    def redis_url(self) -> str:
        return self.redis.url if isinstance(self.redis, RedisServer) else self.redis

    @property
    def spool(self) -> str:
        return str(self.folder.path.absolute() / "spool.sqlite")

    @property
    def receiver_url(self) -> str:
        """The URL of the receiver on this machine."""
        host = {"0.0.0.0": LOOPBACK, "::": "::1", "": LOOPBACK}.get(self.host, self.host)  # noqa: S104 - the user's choice
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def api_url(self) -> str | None:
        return None if self.api_port is None else f"http://{LOOPBACK}:{self.api_port}/v1"

    @property
    def console_url(self) -> str:
        """Only this machine reaches the console: on others it would need a login."""
        return f"http://{LOOPBACK}:{self.console_port}"

    @contextmanager
    def prepared(self) -> Iterator[list[str]]:
        """Prepare for the children, and clean up after they have stopped.

        Yields notes for the user. Raises LocalModeError if Redis cannot be used.
        """
        if not isinstance(self.redis, RedisServer):
            yield []
            return
        self.redis.prepare()
        try:
            found = self.redis.shut_down_leftover()
            yield ["stopped a Redis that an earlier run had left behind"] if found else []
        finally:
            self.redis.clean_up()

    def children(self, *, wait_for_worker: bool = True) -> list[Child]:
        """The processes in starting order. They are stopped in reverse, so that each can finish its work."""
        children = []
        after_redis: tuple[str, ...] = ()
        if isinstance(self.redis, RedisServer):
            redis = self.redis
            children.append(Child(REDIS, redis.command(), ready=lambda _pid: redis.answers()))
            after_redis = (REDIS,)
        environment = self._environment()
        if self.api_port is not None:
            children.append(self._api(environment))
        children.append(
            Child(
                WORKER,
                _command("worker"),
                environment,
                ready=partial(worker_is_registered, self.redis_url) if wait_for_worker else None,
                after=after_redis,
                stop_timeout=SLOW_STOP,
            )
        )
        children.append(
            Child(
                RECEIVER,
                _command("serve", "--host", self.host, "--port", str(self.port)),
                environment,
                ready=lambda _pid: answers_ok(f"{self.receiver_url}/readyz"),
                after=after_redis,
                stop_timeout=SLOW_STOP,
            )
        )
        if self.console_port is not None:
            children.append(self._console(environment, after_redis))
        return children

    def _console(self, environment: Mapping[str, str], after: tuple[str, ...]) -> Child:
        figures = "api" if self.api_port is None else "receiver"
        options = [
            "--port",
            str(self.console_port),
            "--receiver-url",
            self.receiver_url,
            "--figures",
            figures,
        ]
        return Child(
            CONSOLE,
            _command("console", "--host", LOOPBACK, *options),
            environment,
            ready=lambda _pid: answers_ok(f"{self.console_url}/healthz"),
            after=after,
        )

    def _api(self, environment: Mapping[str, str]) -> Child:
        data = self.folder.events_api
        arguments = ["--host", LOOPBACK, "--port", str(self.api_port), "--data", str(data)]
        return Child(
            API,
            _command("api", *arguments, "--account-sid", LOCAL_ACCOUNT_SID),
            {**environment, "APITRAFFIC_LOCAL_API_TOKEN": self.folder.secret(API_TOKEN)},
            ready=lambda _pid: answers_ok(f"http://{LOOPBACK}:{self.api_port}/healthz"),
        )

    def _environment(self) -> dict[str, str]:
        ours = {**self.secrets, "REDIS_URL": self.redis_url, "APITRAFFIC_SPOOL": self.spool}
        # Local mode checks its receiver over plain HTTP.
        ours |= {"APITRAFFIC_TLS_CERT": "", "APITRAFFIC_TLS_KEY": ""}
        if self.api_url is not None:
            ours |= {
                "APITRAFFIC_API_URL": self.api_url,
                "APITRAFFIC_ACCOUNT_SID": LOCAL_ACCOUNT_SID,
                API_TOKEN: self.folder.secret(API_TOKEN),
            } | _without_proxy(self.environment)
        # If a variable and its _FILE variant are both set, the configuration is refused.
        rest = {
            name: value for name, value in self.environment.items() if name.removesuffix("_FILE") not in ours
        }
        # Unbuffered, because their output goes through a pipe to the terminal.
        return {
            "APITRAFFIC_LOG_FORMAT": "text",
            "APITRAFFIC_KEEP_PAYLOADS": PAYLOADS,
            **rest,
            **ours,
            "PYTHONUNBUFFERED": "1",
        }


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "receiver.cli.child", *arguments]


def _without_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Exempt this machine from the proxy that may be configured: it could not reach the local API."""
    exempt = environment.get("no_proxy") or environment.get("NO_PROXY")
    value = f"{exempt},{LOOPBACK}" if exempt else LOOPBACK
    return {"no_proxy": value, "NO_PROXY": value}


def worker_is_registered(redis_url: str, pid: int) -> bool:
    """Whether the worker in process `pid` takes jobs. Entries that killed workers have left do not count."""
    from redis import Redis, RedisError  # noqa: PLC0415 - slow to import; `demo` does without

    workers = f"{os.environ.get('RQ_KEY_PREFIX', RQ_PREFIX)}:workers"
    try:
        with Redis.from_url(redis_url, socket_timeout=1.0, decode_responses=True) as redis:
            return any(_belongs_to(redis.hget(key, "pid"), pid) for key in redis.smembers(workers))
    except (RedisError, OSError):
        return False


def _belongs_to(found: object, pid: int) -> bool:
    """Whether process `found` is in the process group of child `pid`, as its own children are."""
    try:
        return os.getpgid(int(str(found))) == pid
    except (ValueError, ProcessLookupError, PermissionError):
        return False


def free_port(host: str) -> int:
    """Return a port of `host` that is free now; raises LocalModeError if this machine has no such address."""
    try:
        with listen(host, 0) as listener:
            port: int = listener.getsockname()[1]
            return port
    except CannotListen as error:
        raise LocalModeError(str(error)) from error


def require_free_port(host: str, port: int, option: str) -> None:
    """Raise LocalModeError if a port is in use, before a child fails because of it."""
    try:
        listen(host, port, option).close()
    except CannotListen as error:
        raise LocalModeError(str(error)) from error
