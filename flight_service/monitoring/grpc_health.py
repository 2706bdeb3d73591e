"""gRPC's health service, on a port of its own.

The service `""` is the Flight service; `log`, `analytics`, `operational` and `database` are its
servers.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from flight_service.addresses import Address
from flight_service.monitoring.readiness import Readiness

REFRESH_SECONDS = 5.0
THREADS = 4
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class HealthServer:
    """Serves the health of a service until `stop`. Raises, when constructed: AddressError: the
    address cannot be listened on.
    """

    def __init__(self, address: Address, readiness: Readiness) -> None:
        with address.listen() as bound:
            self.address = address.with_port(bound.getsockname()[1])
        self._readiness = readiness
        self._stopped = threading.Event()
        self._servicer = health.HealthServicer()
        self._server = grpc.server(ThreadPoolExecutor(THREADS, thread_name_prefix="health"))
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, self._server)
        self._server.add_insecure_port(str(self.address).removeprefix(f"{address.scheme}://"))
        self._servicer.set("", NOT_SERVING)
        self._server.start()
        threading.Thread(target=self._refresh, name="health", daemon=True).start()

    def drain(self) -> None:
        """Reports that the service no longer serves."""
        self._stopped.set()
        self._servicer.enter_graceful_shutdown()

    def stop(self) -> None:
        """Stops the server and ends its watchers."""
        self.drain()
        self._server.stop(grace=None).wait()

    def _refresh(self) -> None:
        while not self._stopped.is_set():
            states = self._readiness.states()
            if self._stopped.is_set():
                return
            for name, found in states.items():
                if found.state != "off":
                    self._servicer.set(name, SERVING if found.state == "up" else NOT_SERVING)
            is_ready = self._readiness.is_ready(states)
            self._servicer.set("", SERVING if is_ready else NOT_SERVING)
            self._stopped.wait(REFRESH_SECONDS)
