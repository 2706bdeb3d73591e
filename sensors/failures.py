"""Reports failed runs in the log, and to a webhook if one is set."""

import requests
from dagster import (
    DefaultSensorStatus,
    RunFailureSensorContext,
    SensorDefinition,
    run_failure_sensor,
)

from fraiseql_assets.addresses import without_credentials
from fraiseql_assets.one_line import one_line
from fraiseql_assets.resources import FailureWebhook, settings_of

WEBHOOK_SECONDS = 10.0


def failure_sensor(status: DefaultSensorStatus) -> SensorDefinition:
    """The sensor that reports each failed run once."""

    @run_failure_sensor(
        name="failed_runs",
        default_status=status,
        description="Writes each failed run to the log and, where FRAISEQL_FAILURE_WEBHOOK is set, "
        "posts it there as JSON.",
    )
    def failed_runs(context: RunFailureSensorContext, failure_webhook: FailureWebhook) -> None:
        settings = settings_of(failure_webhook)
        message = message_of(context, settings.dagster_url)
        context.log.error(message["text"])
        webhook = settings.failure_webhook
        if webhook:
            requests.post(
                webhook.get_secret_value(), json=message, timeout=WEBHOOK_SECONDS
            ).raise_for_status()

    return failed_runs


def message_of(context: RunFailureSensorContext, dagster_url: str) -> dict[str, str]:
    """The message about a failed run. `text` is readable text, as chat services expect."""
    run = context.dagster_run
    partition = run.tags.get("dagster/partition", "")
    failure = context.failure_event.message or "no message"
    steps = context.get_step_failure_events()
    if steps and steps[0].step_failure_data.error:
        error = steps[0].step_failure_data.error
        cause = error.cause or error
        failure = one_line(cause.message)
    url = without_credentials(dagster_url)
    where = f" of {partition}" if partition else ""
    return {
        "text": f"Run {run.run_id[:8]} of {run.job_name}{where} failed: {failure}",
        "run": run.run_id,
        "job": run.job_name,
        "partition": partition,
        "error": failure,
        "url": f"{url}/runs/{run.run_id}",
    }
