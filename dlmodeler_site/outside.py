"""HTTP to servers that users name: no way into the network behind the site unless the operator opens it.

The check is of the address that a connection has reached, before a byte is sent over it: whatever a name resolved to
a moment ago, or a second time, does not matter.
"""

import ipaddress
import socket

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class PrivateAddress(Exception):
    """The server's address is not one of the public network."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(f"{host} is {address}, which is no public address")
        self.host, self.address = host, address


def is_public(address: str) -> bool:
    """Whether it is an address of the public network, also where IPv6 only wraps one of IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if wrapped := ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1]):
            return is_public(str(wrapped))
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(ip.packed[-4:])))
    return ip.is_global and not ip.is_multicast


def check_host(host: str, port: int) -> None:
    """Raises PrivateAddress when a name resolves to an address that is not public, socket.gaierror when to none."""
    for *_kind, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not is_public(str(address[0])):
            raise PrivateAddress(host, str(address[0]))


def pool_manager(
    *, public_only: bool, timeout: urllib3.Timeout, connections: int = 10, tries: int = 1
) -> urllib3.PoolManager:
    """Connections to be used by several threads. SECURITY: it follows no redirect and uses no proxy.

    What fails without an answer is tried again after growing delays, whatever its method.
    """
    retries = urllib3.Retry(
        tries - 1, redirect=False, status=0, other=0, allowed_methods=None, backoff_factor=0.5, backoff_max=30
    )
    pools = urllib3.PoolManager(maxsize=connections, block=True, timeout=timeout, retries=retries)
    if public_only:
        pools.pool_classes_by_scheme = {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}
    return pools


class _PublicHTTP(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn(), self.host)


class _PublicHTTPS(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn(), self.host)


class _PublicHTTPPool(HTTPConnectionPool):
    ConnectionCls = _PublicHTTP


class _PublicHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPS


def _checked(connection: socket.socket, host: str) -> socket.socket:
    address = str(connection.getpeername()[0])
    if not is_public(address):
        connection.close()
        raise PrivateAddress(host, address)
    return connection
