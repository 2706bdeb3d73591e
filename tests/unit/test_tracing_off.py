"""Without tracing no spans are made, and OpenTelemetry is not loaded."""

import subprocess
import sys
from contextlib import nullcontext

from fraiseql_assets import tracing


def test_without_a_collector_there_are_no_spans() -> None:
    items = iter(range(3))
    assert tracing.begin("flight do_get", "00-a-b-01") is None
    assert tracing.carried(items, None) is items
    assert isinstance(tracing.span("PostgreSQL"), nullcontext)
    assert isinstance(tracing.within(None), nullcontext)


def test_without_a_collector_opentelemetry_is_not_loaded() -> None:
    script = (
        "import flight_service.server, flight_service.registry, sys\n"
        "from fraiseql_assets.tracing import begin\nbegin('call', None)\n"
        "print(*[name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []
