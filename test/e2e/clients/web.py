"""A browser's view of a port of a guest. Nothing resolves the name of its public URL here: it goes as the Host header."""
import base64
import os
import pathlib
import socket
import urllib.error
import urllib.parse
import urllib.request

SERVER = pathlib.Path(__file__).parent.parent.joinpath("guest-programs", "web.py").read_text()


def get(proxy: str, host: str) -> str | None:
    try:
        return urllib.request.urlopen(urllib.request.Request(proxy, headers={"Host": host})).read().decode()
    except urllib.error.HTTPError as error:
        if error.code != 502:
            raise
        return None


def echo(proxy: str, host: str, text: str) -> str:
    """Sends one message over a WebSocket and returns the one that comes back."""
    at = urllib.parse.urlsplit(proxy)
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}"
    with socket.create_connection((at.hostname, at.port), timeout=20) as connection, connection.makefile("rb") as answer:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n\r\n".encode())
        assert b" 101 " in answer.readline()
        while answer.readline() != b"\r\n":
            pass
        data, mask = text.encode(), os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        connection.sendall(bytes([0x81, 0x80 | len(data)]) + mask + masked)
        return answer.read(answer.read(2)[1]).decode()
