"""Listens on 127.0.0.1:8080 of the guest: greets over HTTP, and sends back the first message of a WebSocket."""
import base64
import hashlib
import http.server

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.echo()
        body = b"hello from the guest"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def echo(self):
        key = self.headers["Sec-WebSocket-Key"] + MAGIC
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        length = self.rfile.read(2)[1] & 0x7F
        mask, data = self.rfile.read(4), self.rfile.read(length)
        text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.wfile.write(bytes([0x81, length]) + text)
        self.wfile.flush()
        self.close_connection = True


http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Web).serve_forever()
