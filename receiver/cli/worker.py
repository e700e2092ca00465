"""`apitraffic-events worker`"""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from receiver.observability.metrics import DeliveryMetrics


@click.command("worker")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="Serve Prometheus metrics on this port; 0 picks a free one. Default: not at all.",
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Address for --metrics-port.")
def command(metrics_port: int | None, metrics_host: str) -> None:
    """Deliver accepted changes to the Events API.

    Start as many workers as needed, on as many hosts. On SIGTERM a worker finishes its current job and stops.
    """
    from receiver.cli.failures import configuration_errors_in_words
    from receiver.cli.start_checks import examine_token, log_start
    from receiver.config.loading import load_settings
    from receiver.observability.logs import configure_logging
    from receiver.observability.metrics import DeliveryMetrics
    from receiver.worker.running import run_worker
    from receiver.worker.tracing import traced_deliveries

    configure_logging()
    with configuration_errors_in_words():
        settings = load_settings()
    log_start(settings, "worker starting", "receiver.worker")
    metrics = DeliveryMetrics(has_accounts=bool(settings.account))
    if metrics_port is not None:
        _serve_metrics(metrics, metrics_host, metrics_port)
    if settings.api_token and settings.account_sid and settings.redis_url:
        examine_token(settings)
    for account in settings.account:
        with configuration_errors_in_words():
            settings.of_account(account)
        examine_token(settings, account)
    with configuration_errors_in_words(), traced_deliveries():
        run_worker(settings, metrics)


def _serve_metrics(metrics: "DeliveryMetrics", host: str, port: int) -> None:
    from structlog import get_logger

    try:
        listening = metrics.serve(host, port)
    except OSError as error:
        raise click.ClickException(
            f"cannot serve metrics on {host} port {port} ({error.strerror or error}); "
            "choose others with --metrics-host and --metrics-port"
        ) from error
    get_logger("receiver.worker").info("metrics are shown", host=host, port=listening)
