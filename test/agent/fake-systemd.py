"""Plays systemd for an agent: keeps the descriptors that it is sent, and hands them to the next one when it has died.

Usage: fake-systemd.py NOTIFY_SOCKET PID_FILE COMMAND...
"""
import os, signal, socket, sys, threading, time

path, pid_file, *command = sys.argv[1:]
inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
inbox.bind(path)
store = {}
lock = threading.Lock()


def receive():
    while True:
        text, descriptors, _, _ = socket.recv_fds(inbox, 4096, 16)
        fields = dict(line.split("=", 1) for line in text.decode().split("\n") if "=" in line)
        with lock:
            if fields.get("FDSTORE") == "1":
                if fields["FDNAME"] in store:
                    os.close(store.pop(fields["FDNAME"]))
                store[fields["FDNAME"]] = descriptors[0]
            elif fields.get("FDSTOREREMOVE") == "1" and fields["FDNAME"] in store:
                os.close(store.pop(fields["FDNAME"]))


def start():
    """Descriptors from 3 on, in the child alone."""
    with lock:
        names, kept = list(store), [os.dup(fd) for fd in store.values()]
    pid = os.fork()
    if pid != 0:
        for fd in kept:
            os.close(fd)
        return pid
    high = [os.dup2(fd, 500 + n) for n, fd in enumerate(kept)]
    for n, fd in enumerate(high):
        os.dup2(fd, 3 + n)
    os.closerange(3 + len(kept), 1024)
    env = {**os.environ, "NOTIFY_SOCKET": path, "LISTEN_PID": str(os.getpid())}
    env.update(LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names))
    os.execve(command[0], command, env)


threading.Thread(target=receive, daemon=True).start()
child = None


def stop(*_):
    os.kill(child, signal.SIGKILL)
    os._exit(0)


signal.signal(signal.SIGTERM, stop)
while True:
    child = start()
    with open(pid_file + ".new", "w") as file:
        file.write(str(child))
    os.rename(pid_file + ".new", pid_file)
    os.waitpid(child, 0)
    time.sleep(0.1)
