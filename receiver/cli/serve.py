"""`apitraffic-events serve`"""

import os
from pathlib import Path

import click


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=lambda: os.cpu_count() or 1,
    show_default="one per core",
    help="Number of processes.",
)
@click.option(
    "--threads", type=click.IntRange(1, 256), default=4, show_default=True, help="Threads per process."
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path),
    envvar="APITRAFFIC_TLS_CERT",
    show_envvar=True,
    help="PEM file with the certificate and its chain, to serve HTTPS without a proxy.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path),
    envvar="APITRAFFIC_TLS_KEY",
    show_envvar=True,
    help="PEM file with the certificate's key, without a password.",
)
@click.option(
    "--plain",
    "is_plain",
    is_flag=True,
    help="Pass all deliveries through Flask, and store them one by one: slower, with the same answers.",
)
def command(
    host: str,
    port: int,
    workers: int,
    threads: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    is_plain: bool,
) -> None:
    """Receive webhooks over HTTP (gunicorn).

    It is configured by environment variables and apitraffic.toml; `apitraffic-events config` shows the
    configuration in force.
    """
    from receiver.cli.failures import configuration_errors_in_words
    from receiver.cli.start_checks import examine_redis, examine_spool, log_start
    from receiver.config.loading import load_settings
    from receiver.observability.logs import configure_logging
    from receiver.serving.certificates import CannotUseCertificate
    from receiver.serving.server import ReceiverServer
    from receiver.serving.sockets import CannotListen, listen

    configure_logging()
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together; give both, or neither for plain HTTP")
    with configuration_errors_in_words():
        settings = load_settings()
        log_start(settings)
        examine_redis(settings)
        examine_spool(settings)
    try:
        listener = listen(host, port)
    except CannotListen as error:
        raise click.ClickException(str(error)) from error
    certificate = (tls_cert, tls_key) if tls_cert and tls_key else None
    try:
        server = ReceiverServer(
            settings,
            listener,
            workers=workers,
            threads=threads,
            certificate=certificate,
            is_plain=is_plain,
        )
    except CannotUseCertificate as error:
        raise click.ClickException(str(error)) from error
    server.run()
