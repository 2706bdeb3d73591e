import pytest

from flight_service.addresses import Address, AddressError, locations


def test_an_address_is_read_from_its_setting() -> None:
    address = Address.parse("grpc://127.0.0.1:50051", "FRAISEQL_FLIGHT_URL", "grpc", "grpc+tcp")
    assert (address.host, address.port, str(address)) == (
        "127.0.0.1",
        50051,
        "grpc://127.0.0.1:50051",
    )


def test_an_ipv6_address_keeps_its_brackets() -> None:
    assert str(Address.parse("grpc://[::1]:1", "X", "grpc")) == "grpc://[::1]:1"


@pytest.mark.parametrize(
    "url", ["http://a:1", "grpc://a", "grpc://:1", "grpc://a:x", "", "grpc://a:99999"]
)
def test_an_invalid_listen_address_names_the_setting_and_the_form(url: str) -> None:
    with pytest.raises(AddressError, match=r"FRAISEQL_FLIGHT_URL .* grpc://host:port"):
        Address.parse(url, "FRAISEQL_FLIGHT_URL", "grpc")


def test_a_port_in_use_names_the_setting() -> None:
    address = Address.parse("grpc://127.0.0.1:0", "FRAISEQL_FLIGHT_URL", "grpc")
    with address.listen() as first:
        taken = address.with_port(first.getsockname()[1])
        with pytest.raises(AddressError, match=r"already in use.* set FRAISEQL_FLIGHT_URL"):
            taken.listen()


def test_an_endpoint_has_the_address_and_the_reuse_location() -> None:
    found = locations(Address("grpc", "10.0.0.1", 50051, "X"))
    assert [at.uri for at in found] == [
        b"grpc://10.0.0.1:50051",
        b"arrow-flight-reuse-connection://?",
    ]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_on_every_interface_an_endpoint_has_only_the_reuse_location(host: str) -> None:
    found = locations(Address("grpc", host, 50051, "X"))
    assert [at.uri for at in found] == [b"arrow-flight-reuse-connection://?"]
