import pytest

from headrace.handlers.addresses import is_public

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "2002:0808:0808::1",
    "64:ff9b::8.8.8.8",
]

NOT_PUBLIC = [
    # IPv4
    "0.0.0.0",
    "10.1.1.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "233.252.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    # IPv6
    "::",
    "::1",
    "100::1",
    "2001:2::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1%eth0",
    "fec0::1",
    "ff02::1",
    # IPv4 inside IPv6
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "::8.8.8.8",
    "2002:7f00:0001::1",
    "2002:a9fe:a9fe::",
    "2001:0:7f00:1::f7f7:f7f7",
    "2001:0:808:808:0:0:80ff:fffe",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "2606:4700::5efe:7f00:1",
    # no address
    "",
    "localhost",
    "8.8.8.8/32",
    "127.1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_let_through(address):
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_other_address_is_refused(address):
    assert not is_public(address)
