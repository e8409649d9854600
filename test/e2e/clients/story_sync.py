"""The story of every synchronous Python client, against a real guest."""
import datetime
import hashlib
import io
import threading
import time
import urllib.request

import web
from narrate import part, raises

MIB = 1024 * 1024
# More than all that is on its way at once; the npm client streams 50 MiB.
LARGE_MIB = 16
MULTIPART = "multipart/form-data; boundary=seam"
SECOND = datetime.timedelta(seconds=1)
# What every client says of a stream whose sandbox was killed or paused.
GONE = "The sandbox was killed or reached its end of life"


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def until(condition, what: str, within: float = 20):
    give_up = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < give_up, f"not within {within} s: {what}"
        time.sleep(0.1)
    return found


class Background(threading.Thread):
    """Calls something that blocks, elsewhere; keeps what it raised."""

    def __init__(self, call):
        super().__init__(daemon=True)
        self.call, self.error = call, None
        self.start()

    def run(self):
        try:
            self.call()
        except Exception as error:
            self.error = error

    def ended_with(self, kind: type, says: str = "", within: float = 30):
        self.join(within)
        assert not self.is_alive(), f"hangs after {within} s"
        assert isinstance(self.error, kind) and says in str(self.error), f"{type(self.error)}: {self.error}"
        return self.error


def play(sdk, *, pause: str, closes_stdin: bool, streams_input: bool, stores_metadata: bool) -> None:
    Sandbox = sdk.Sandbox
    story = str(time.time_ns())

    with part("creates a sandbox with metadata and environment"):
        metadata = {"story": story, "a key": "a&b/c=ü", "__proto__": "kept"}
        sandbox = Sandbox.create(timeout=300, metadata=metadata, envs={"COLOUR": "blue ✓", "__proto__": "kept"})
        info = sandbox.get_info()
        assert (info.sandbox_id, info.metadata, info.state) == (sandbox.sandbox_id, metadata, sdk.SandboxState.RUNNING)
        assert sandbox.is_running()
        assert sandbox.commands.run("echo $COLOUR $__proto__").stdout == "blue ✓ kept\n"

    with part("runs commands in the foreground"):
        said = []
        result = sandbox.commands.run(
            "pwd; echo $EXTRA $COLOUR; echo oops >&2", cwd="/tmp", envs={"EXTRA": "1"}, on_stdout=said.append
        )
        assert (result.stdout, result.stderr, result.exit_code) == ("/tmp\n1 blue ✓\n", "oops\n", 0)
        assert "".join(said) == result.stdout
        with raises(sdk.CommandExitException) as failed:
            sandbox.commands.run("echo said; exit 3")
        assert (failed.value.exit_code, failed.value.stdout) == (3, "said\n")
        with raises(sdk.InvalidArgumentException):
            sandbox.commands.run("true", cwd="/nowhere")
        assert len(sandbox.commands.run("seq 100000").stdout) == 588_895
        assert sandbox.commands.run("echo by name > /dev/stderr").stderr == "by name\n"
        assert sandbox.commands.run("sleep 4711 & echo up").stdout == "up\n"
        assert sandbox.commands.run("pgrep -fc '^sleep 4711'").stdout == "1\n"

    with part("runs a command in the background, connects to it by its pid, kills it"):
        ticking = sandbox.commands.run("while sleep 0.2; do echo tick; done", background=True)
        assert ticking.pid in [process.pid for process in sandbox.commands.list()]
        connected = sandbox.commands.connect(ticking.pid)
        assert next(iter(connected))[0].startswith("tick\n")
        connected.disconnect()
        assert sandbox.commands.kill(ticking.pid)
        with raises(sdk.CommandExitException):
            ticking.wait()
        assert not sandbox.commands.kill(ticking.pid)
        assert ticking.pid not in [process.pid for process in sandbox.commands.list()]

    with part("sends input to a command"):
        reading = sandbox.commands.run("read line; echo got $line; cat", background=True, stdin=True)
        sandbox.commands.send_stdin(reading.pid, "höre\n")
        assert next(iter(reading))[0] == "got höre\n"
        if streams_input:
            sandbox.commands.stream_input(reading.pid, iter(["one ", b"two"]))
        if closes_stdin:
            sandbox.commands.close_stdin(reading.pid)
            assert reading.wait().stdout == "got höre\n" + ("one two" if streams_input else "")
        else:
            assert reading.kill()

    with part("ends a command at its time"):
        with raises(sdk.TimeoutException):
            sandbox.commands.run("sleep 54321", timeout=1)
        assert sandbox.commands.run("pgrep -fc '^sleep 54321' || true").stdout == "0\n"

    with part("runs commands and writes files as root"):
        assert sandbox.commands.run("id -un; pwd").stdout == "user\n/home/user\n"
        assert sandbox.commands.run("id -un; pwd", user="root").stdout == "root\n/root\n"
        sandbox.files.write("/root/secret", "mine", user="root")
        assert sandbox.files.get_info("/root/secret", user="root").owner == "root"
        with raises(sdk.AuthenticationException):
            sandbox.commands.run("true", user="nobody-there")

    with part("uses a terminal"):
        screen = []
        terminal = sandbox.pty.create(sdk.PtySize(rows=24, cols=80), envs={"WHO": "me"}, timeout=60)
        sandbox.pty.resize(terminal.pid, sdk.PtySize(rows=33, cols=101))
        sandbox.pty.send_stdin(terminal.pid, b"stty size; echo $WHO-$TERM; exit 0\n")
        terminal.wait(on_pty=lambda data: screen.append(bytes(data)))
        text = b"".join(screen).decode()
        assert "33 101" in text and "me-xterm-256color" in text, text
        other = sandbox.pty.create(sdk.PtySize(rows=24, cols=80))
        assert sandbox.pty.kill(other.pid)
        with raises(sdk.CommandExitException):
            other.wait()

    with part("writes, reads, lists, moves and removes files"):
        files = sandbox.files
        written = files.write("story/text.txt", "hällo")
        assert (written.name, written.path) == ("text.txt", "/home/user/story/text.txt")
        assert files.read("/home/user/story/text.txt") == "hällo"
        every_byte = bytes(range(256)) * 100
        files.write("/home/user/story/bytes", every_byte)
        assert bytes(files.read("/home/user/story/bytes", format="bytes")) == every_byte
        several = [{"path": f"story/several/{name}", "data": name} for name in "abc"]
        assert [one.name for one in files.write_files(several)] == ["a", "b", "c"]
        assert files.make_dir("story/empty") and not files.make_dir("story/empty")
        assert sorted(entry.name for entry in files.list("story")) == ["bytes", "empty", "several", "text.txt"]
        assert len(files.list("story", depth=2)) == 7
        found = files.get_info("story/text.txt")
        assert (found.size, found.owner, found.permissions) == (6, "user", "-rw-r--r--")
        assert files.rename("story/text.txt", "story/moved/text").path == "/home/user/story/moved/text"
        assert files.exists("story/moved/text") and not files.exists("story/text.txt")
        files.remove("story")
        assert not files.exists("story")
        with raises(sdk.NotFoundException):
            files.read("story/text.txt")
        with raises(sdk.NotFoundException):
            files.list("story")

    with part("streams a large file up and down"):
        large = bytes(range(256)) * (LARGE_MIB * MIB // 256)
        sandbox.files.write("large", io.BytesIO(large))
        digest = hashlib.sha256()
        for chunk in sandbox.files.read("large", format="stream"):
            digest.update(chunk)
        assert digest.digest() == hashlib.sha256(large).digest()
        assert sandbox.commands.run("sha256sum < large").stdout.split()[0] == digest.hexdigest()
        sandbox.files.remove("large")

    with part("watches a directory"):
        sandbox.files.make_dir("watched")
        watcher = sandbox.files.watch_dir("watched", recursive=True)
        sandbox.commands.run("mkdir watched/deep; sleep 1; echo x > watched/deep/file; sleep 1; rm watched/deep/file")
        seen = []
        kinds = sdk.FilesystemEventType
        wanted = {("deep", kinds.CREATE), ("deep/file", kinds.WRITE), ("deep/file", kinds.REMOVE)}

        def all_seen():
            seen.extend((event.name, event.type) for event in watcher.get_new_events())
            return wanted <= set(seen)

        until(all_seen, f"{wanted} in {seen}")
        for expected in ([kinds.CREATE, kinds.CHMOD, kinds.WRITE], [kinds.CHMOD, kinds.WRITE]):
            sandbox.files.write("watched/told", "text")
            told = [(event.name, event.type) for event in watcher.get_new_events()]
            assert told == [("told", kind) for kind in expected], told
        watcher.stop()

    if stores_metadata:
        with part("stores metadata with a file"):
            sandbox.files.write("marked", "x", metadata={"owner": "me too"})
            assert sandbox.files.get_info("marked").metadata == {"owner": "me too"}

    with part("signs uploads and downloads that need no token"):
        form = b'--seam\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nsigned\r\n--seam--\r\n'
        address = sandbox.upload_url("/home/user/signed", user="user", use_signature_expiration=60)
        upload = urllib.request.Request(address, data=form, headers={"Content-Type": MULTIPART}, method="POST")
        assert urllib.request.urlopen(upload).status == 200
        address = sandbox.download_url("/home/user/signed", user="user")
        assert urllib.request.urlopen(address).read() == b"signed"
        with raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address[:-4] + "AAAA")
        assert refused.value.code == 401
        with raises(urllib.error.HTTPError) as ended:
            urllib.request.urlopen(
                sandbox.download_url("/home/user/signed", user="user", use_signature_expiration=-10)
            )
        assert ended.value.code == 401
        assert ended.value.read() == b'{"code":401,"message":"signature is already expired"}'

    with part("serves HTTP and WebSockets from a port of the guest"):
        sandbox.files.write("web.py", web.SERVER)
        serving = sandbox.commands.run("python3 web.py", background=True, timeout=0)
        at = sandbox.envd_api_url, sandbox.get_host(8080)
        assert until(lambda: web.get(*at), "an answer from the guest") == "hello from the guest"
        assert web.echo(*at, "höre") == "höre"
        assert serving.kill()

    with part("reads the sandbox's metrics"):
        (sample, *_) = until(sandbox.get_metrics, "a sample")
        assert sample.cpu_count == info.cpu_count and 0 < sample.mem_used < sample.mem_total
        assert 0 < sample.disk_used < sample.disk_total
        day = datetime.timedelta(days=1)
        assert sandbox.get_metrics(start=sample.timestamp - day, end=sample.timestamp + day)
        assert sandbox.get_metrics(end=sample.timestamp - day) == []

    with part("lists sandboxes with filters and pages"):
        others = [Sandbox.create(timeout=60, metadata={"story": story, "other": "yes"}) for _ in range(2)]
        everyone = {sandbox.sandbox_id, *(other.sandbox_id for other in others)}
        pages, ids = Sandbox.list(query=sdk.SandboxQuery(metadata={"story": story}), limit=2), []
        while pages.has_next:
            page = [found.sandbox_id for found in pages.next_items()]
            assert len(page) <= 2
            ids += page
        assert len(ids) == 3 and set(ids) == everyone

        def ids_of(**query):
            return {found.sandbox_id for found in Sandbox.list(query=sdk.SandboxQuery(**query)).next_items()}

        assert ids_of(metadata={"story": story, "other": "yes"}) == everyone - {sandbox.sandbox_id}
        assert ids_of(metadata={"story": story, "a key": "a&b/c=ü", "__proto__": "kept"}) == {sandbox.sandbox_id}
        assert ids_of(metadata={"story": story}, state=[sdk.SandboxState.PAUSED]) == set()
        others[0].set_timeout(0)
        assert [Sandbox.kill(other.sandbox_id) for other in others] == [False, True]
        assert ids_of(metadata={"story": story}) == {sandbox.sandbox_id}

    with part("sets the timeout, shorter and longer"):
        for seconds in (120, 900):
            asked, timeout = now(), datetime.timedelta(seconds=seconds)
            sandbox.set_timeout(seconds)
            assert asked - SECOND <= sandbox.get_info().end_at - timeout <= now() + SECOND

    with part("pauses, and open streams end with an error of the client's"):
        counting = sandbox.commands.run(
            "for i in $(seq 100000); do echo $i; sleep 0.2; done", background=True, timeout=0
        )
        waiting = Background(counting.wait)
        silent = Background(lambda: sandbox.commands.run("sleep 1000", timeout=0))
        terminal = sandbox.pty.create(sdk.PtySize(rows=24, cols=80), timeout=0)
        typing = Background(terminal.wait)
        chatting = Background(lambda: sandbox.commands.run("yes", timeout=0))
        until(lambda: len(sandbox.commands.list()) == 4, "four commands")
        assert getattr(sandbox, pause)() in (None, True)
        for stream in (waiting, silent, typing, chatting):
            stream.ended_with(sdk.TimeoutException, GONE)
        assert sandbox.get_info().state == sdk.SandboxState.PAUSED
        assert getattr(Sandbox, pause)(sandbox.sandbox_id) in (False, sandbox.sandbox_id)
        assert not sandbox.is_running()
        with raises(sdk.TimeoutException):
            sandbox.commands.run("true")

    with part("connects, and the processes of before go on"):
        again = Sandbox.connect(sandbox.sandbox_id, timeout=300)
        assert again.sandbox_id == sandbox.sandbox_id and again.is_running()
        assert {counting.pid, terminal.pid} <= {process.pid for process in again.commands.list()}
        followed = again.commands.connect(counting.pid)
        first = int(next(iter(followed))[0].split()[0])
        assert first > 1
        followed.disconnect()
        again.pty.send_stdin(terminal.pid, b"exit 5\n")
        assert again.commands.kill(counting.pid)
        assert again.commands.run("echo $COLOUR").stdout == "blue ✓\n"
        assert sandbox.commands.run("echo the old object works too").exit_code == 0
        again.files.write("after", "the pause")
        assert sandbox.files.read("after") == "the pause"

    with part("is killed during a command, and then is not there"):
        silent = Background(lambda: sandbox.commands.run("sleep 2000", timeout=0))
        until(lambda: any("2000" in " ".join(one.args) for one in sandbox.commands.list()), "the command")
        assert sandbox.kill()
        silent.ended_with(sdk.TimeoutException, GONE)
        assert not sandbox.is_running() and not Sandbox.kill(sandbox.sandbox_id)
        with raises(sdk.NotFoundException):
            Sandbox.connect(sandbox.sandbox_id)
        with raises(sdk.NotFoundException):
            sandbox.set_timeout(100)
