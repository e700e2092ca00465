"""Where a request comes from is told by trusted proxies only."""

from ipaddress import ip_address, ip_network

import pytest

from receiver.web.client_address import client_address, is_in

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("connected", "forwarded", "expected"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("10.1.1.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.1.1.1", ["140.82.112.1, 198.51.100.7"], "198.51.100.7"),
        ("10.1.1.1", ["140.82.112.1", "198.51.100.7, 10.2.2.2"], "198.51.100.7"),
        ("10.1.1.1", ["10.3.3.3"], "10.3.3.3"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("::ffff:10.1.1.1", ["2001:db8::1"], "2001:db8::1"),
        ("fd00::1", ["::ffff:192.0.2.9"], "192.0.2.9"),
        ("10.1.1.1", ["nonsense"], None),
        ("10.1.1.1", ["198.51.100.7, nonsense"], None),
        ("10.1.1.1", ["1.1.1.1," * 5_000 + "198.51.100.7"], "198.51.100.7"),
        ("", ["198.51.100.7"], None),
        (None, [], None),
    ],
)
def test_the_nearest_that_is_no_trusted_proxy(
    connected: str | None, forwarded: list[str], expected: str | None
) -> None:
    assert client_address(connected, forwarded, PROXIES) == (ip_address(expected) if expected else None)


def test_nobody_is_in_no_network_and_unknown_is_in_none() -> None:
    assert is_in(ip_address("10.1.1.1"), PROXIES)
    assert not is_in(ip_address("192.0.2.1"), PROXIES)
    assert not is_in(None, (ip_network("0.0.0.0/0"),))
