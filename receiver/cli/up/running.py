"""Runs receiver, worker, console, Redis and Events API on this machine."""

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from receiver.cli.failures import configuration_errors_in_words
from receiver.config.loading import load_settings
from receiver.config.settings import Settings
from receiver.local.command import errors_in_words
from receiver.local.data_folder import DEFAULT_DATA_FOLDER, DataFolder
from receiver.local.errors import LocalModeError
from receiver.local.log import Log
from receiver.local.redis_server import RedisServer, find_redis_server
from receiver.local.running import noted
from receiver.local.stack import API_TOKEN, LOOPBACK, REDIS, LocalStack, free_port, require_free_port
from receiver.local.supervisor import StopRequested, Supervisor
from receiver.sources.signing import SENDERS

UP: Final = "up"
CONSOLE_PORT: Final = 8081
DEFAULT_RECEIVER_URL: Final = "http://127.0.0.1:8080"
"""The default of `send --url`."""


def run(host: str, port: int, api_port: int, console_port: int | None, data_dir: Path) -> None:
    settings = _load_settings()
    folder = DataFolder(data_dir)
    with errors_in_words(), folder.locked():
        stack = LocalStack(
            folder=folder,
            redis=settings.redis_url or RedisServer(folder.redis, find_redis_server(data=folder.redis)),
            host=host,
            port=port,
            api_port=None if settings.api_token else api_port,
            environment=os.environ,
            secrets=_generated_secrets(settings, folder),
            console_port=console_port or _usual_or_free_port(),
        )
        require_free_port(host, port, "--port")
        if console_port is not None:
            require_free_port(LOOPBACK, console_port, "--console-port")
        if stack.api_port is not None:
            require_free_port(LOOPBACK, stack.api_port, "--api-port")
        with stack.prepared() as notes:
            _run(stack, notes, "\n".join(["", *_welcome(stack, settings), ""]))


def _run(stack: LocalStack, notes: list[str], welcome: str) -> None:
    children = stack.children()
    names = [child.name for child in children]
    log = Log(sys.stdout, [UP, *names], hidden=[REDIS])
    with noted(stack), Supervisor(UP, children, log) as supervisor:
        try:
            for note in [*notes, f"starting {', '.join(names)}"]:
                log.write(UP, note)
            supervisor.start()
            log.show(welcome)
            supervisor.run()
        except StopRequested:
            pass
        log.write(UP, "stopping; accepted deliveries are kept")


def _usual_or_free_port() -> int:
    """Nobody has to know the console's port: its address is printed first."""
    try:
        require_free_port(LOOPBACK, CONSOLE_PORT, "--console-port")
    except LocalModeError:
        return free_port(LOOPBACK)
    return CONSOLE_PORT


def _load_settings() -> Settings:
    with configuration_errors_in_words():
        return load_settings()


def _generated_secrets(settings: Settings, folder: DataFolder) -> dict[str, str]:
    """Secrets for all sources if none is configured; otherwise all sources would be off."""
    if settings.webhook_secrets:
        return {}
    return {sender.secret_name: folder.secret(sender.secret_name) for sender in SENDERS.values()}


def _welcome(stack: LocalStack, settings: Settings) -> Iterator[str]:
    folder = stack.folder
    yield f"  Console      {stack.console_url}   open it in a browser"
    yield f"  Receiver     {stack.receiver_url}   /webhooks/<source>  /healthz  /readyz"
    if stack.api_url is None:
        yield f"  Events API   {settings.api_url}"
    else:
        yield f"  Events API   {stack.api_url}   local, because APITRAFFIC_API_TOKEN is not set"
        yield f"               its token is in {folder.secret_path(API_TOKEN)}"
    if isinstance(stack.redis, RedisServer):
        yield f"  Redis        started by this command, data in {stack.redis.folder}"
    else:
        yield "  Redis        the one in REDIS_URL"
    yield from _sources(settings, folder)
    yield f"  Try it       {_try_out(stack)}"
    yield "  Ctrl-C stops everything. Accepted deliveries are kept."


def _try_out(stack: LocalStack) -> str:
    """A command to try, with the options that it needs to find this receiver and its secret."""
    words = ["apitraffic-events", "trigger", "github.deployment"]
    if stack.receiver_url != DEFAULT_RECEIVER_URL:
        words += ["--url", stack.receiver_url]
    if stack.folder.path != DEFAULT_DATA_FOLDER:
        words += ["--data-dir", str(stack.folder.path)]
    return shlex.join(words)


def _sources(settings: Settings, folder: DataFolder) -> Iterator[str]:
    generated = (
        {} if settings.webhook_secrets else {name: sender.secret_name for name, sender in SENDERS.items()}
    )
    off = []
    label = "Sources"
    for name, source in settings.active_sources.items():
        if name in generated:
            state = f"on, with the secret in {folder.secret_path(generated[name])}"
        elif any(settings.webhook_secrets.get(variable) for variable in source.secret_variables):
            state = "on"
        else:
            off.append(f"{name} ({' or '.join(source.secret_variables)})")
            continue
        yield f"  {label:<12} {name} {state}"
        label = ""
    if off:
        yield f"  {label:<12} off, no secret is set: {', '.join(off)}"
