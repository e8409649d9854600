"""Holds a variable, an open file at an offset, a listening socket and a counter; answers with all of them."""
import json, os, socket, sys, threading, time

secret = sys.argv[1]
handle = open("/home/user/opened.txt", "w+")
handle.write("0123456789")
handle.seek(4)
handle.flush()
count = 0


def tick():
    global count
    while True:
        count += 1
        time.sleep(0.05)


threading.Thread(target=tick, daemon=True).start()
server = socket.create_server(("127.0.0.1", 7070))
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    with connection:
        answer = {"pid": os.getpid(), "secret": secret, "offset": handle.tell(), "count": count, "socket": server.fileno()}
        connection.sendall(json.dumps(answer).encode())
