"""No network: every process that has this folder on PYTHONPATH reaches only its own machine.

The notebooks of the book are executed and tested under this rule, kernels included: data and
checkpoints ship with the package, so a class without Wi-Fi can run them.
"""

import ipaddress
import socket

_connect, _connect_ex = socket.socket.connect, socket.socket.connect_ex
_sendto, _getaddrinfo = socket.socket.sendto, socket.getaddrinfo
MESSAGE = "the network is blocked while notebooks run: {}; ship the file with the package"


def _is_local(host):
    if host is None or host in ("", "localhost", b"localhost", "localhost.localdomain"):
        return True
    host = host.decode() if isinstance(host, bytes) else str(host)
    if host == socket.gethostname():
        return True
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback or host in ("0.0.0.0", "::")
    except ValueError:
        return False


def _guard(sock, address):
    if sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
        raise ConnectionRefusedError(MESSAGE.format(address[0]))




def connect(self, address):
    _guard(self, address)
    return _connect(self, address)


def connect_ex(self, address):
    _guard(self, address)
    return _connect_ex(self, address)


def sendto(self, data, *args):
    _guard(self, args[-1])
    return _sendto(self, data, *args)


def getaddrinfo(host, *args, **kwargs):
    if not _is_local(host):
        raise socket.gaierror(socket.EAI_FAIL, MESSAGE.format(host))
    return _getaddrinfo(host, *args, **kwargs)


def block():
    """Refuse every connection that would leave this machine, in this process."""
    socket.socket.connect, socket.socket.connect_ex = connect, connect_ex
    socket.socket.sendto, socket.getaddrinfo = sendto, getaddrinfo


block()
