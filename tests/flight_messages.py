"""Messages of Flight for a client of gRPC, which sends what no library of Arrow does."""

import pyarrow as pa

from flight_service.sql.protocol import Flight_pb2 as base


def flight_data(encapsulated: pa.Buffer) -> base.FlightData:
    """An IPC message as a message of Flight."""
    content = encapsulated.to_pybytes()
    header = 8 + int.from_bytes(content[4:8], "little")
    return base.FlightData(data_header=content[8:header], data_body=content[header:])
