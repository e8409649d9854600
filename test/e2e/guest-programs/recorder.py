"""Keeps every byte of every connection in a file of its own, and answers one request on each."""
import os, re, socket, sys, threading

PLACE = sys.argv[1]


def dechunked(body):
    while True:
        size = re.match(rb"([0-9a-fA-F]+)\r\n", body)
        if not size:
            # What is no size is answered, too: the test looks at it afterwards.
            return len(body) >= 20
        length, body = int(size[1], 16), body[size.end() :]
        if length == 0:
            return body.startswith(b"\r\n")
        body = body[length + 2 :]


def read(data):
    """None until the head is there; then the head, its headers, and whether the body is there."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return None
    start, *lines = head.split(b"\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    if b"transfer-encoding" in headers:
        return start, headers, dechunked(body)
    length = headers.get(b"content-length", b"0")
    return start, headers, not length.isdigit() or len(body) >= int(length)


def answer(start, headers):
    saw = b"X-Saw: " + headers.get(b"x-mark", b"nobody") + b"\r\n"
    if headers.get(b"upgrade") == b"websocket":
        return b"HTTP/1.1 101 Switching\r\n" + saw + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    body = b"" if start.startswith(b"HEAD ") else b"seen"
    return b"HTTP/1.1 200 OK\r\n" + saw + b"Content-Length: 4\r\n\r\n" + body


def serve(connection, file):
    data, continued, answered = b"", False, False
    try:
        while piece := connection.recv(65536):
            os.write(file, piece)
            data += piece
            request = None if answered else read(data)
            if request is None:
                continue
            start, headers, whole = request
            if not continued and b"expect" in headers:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            continued = True
            if whole:
                answered = True
                connection.sendall(answer(start, headers))
    except OSError:
        pass
    os.close(file)
    connection.close()


def listen(port):
    server = socket.create_server(("127.0.0.1", port), backlog=64)
    count = 0
    os.close(os.open(f"{PLACE}/{port}.listens", os.O_CREAT))
    while True:
        connection = server.accept()[0]
        file = os.open(f"{PLACE}/{port}-{count}.bytes", os.O_CREAT | os.O_WRONLY)
        count += 1
        threading.Thread(target=serve, args=(connection, file)).start()


os.makedirs(PLACE)
for port in sys.argv[2:]:
    threading.Thread(target=listen, args=(int(port),)).start()
