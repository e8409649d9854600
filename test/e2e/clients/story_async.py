"""The story of every asynchronous Python client, against a real guest."""
import asyncio
import datetime
import hashlib
import time

import web
from narrate import part, raises
from story_sync import GONE, LARGE_MIB, MIB, SECOND, now


async def until(condition, what: str, within: float = 20):
    give_up = time.monotonic() + within
    while not await condition():
        assert time.monotonic() < give_up, f"not within {within} s: {what}"
        await asyncio.sleep(0.1)


async def ends_with(kind: type, waiting, says: str = "", within: float = 30):
    try:
        await asyncio.wait_for(waiting, within)
    except kind as error:
        assert says in str(error), error
        return
    raise AssertionError(f"it ended without {kind}")


async def play(sdk, *, pause: str, streams_input: bool) -> None:
    Sandbox = sdk.AsyncSandbox
    story = str(time.time_ns())

    with part("creates a sandbox with metadata and environment"):
        metadata = {"story": story, "a key": "a&b/c=ü", "__proto__": "kept"}
        sandbox = await Sandbox.create(timeout=300, metadata=metadata, envs={"COLOUR": "blue ✓", "__proto__": "kept"})
        info = await sandbox.get_info()
        assert (info.sandbox_id, info.metadata, info.state) == (sandbox.sandbox_id, metadata, sdk.SandboxState.RUNNING)
        assert await sandbox.is_running()
    commands, files = sandbox.commands, sandbox.files

    async def pids() -> list[int]:
        return [process.pid for process in await commands.list()]

    with part("runs commands in the foreground"):
        said = []
        result = await commands.run(
            "pwd; echo $EXTRA $COLOUR $__proto__; echo oops >&2", cwd="/tmp", envs={"EXTRA": "1"}, on_stdout=said.append
        )
        assert (result.stdout, result.stderr, result.exit_code) == ("/tmp\n1 blue ✓ kept\n", "oops\n", 0)
        assert "".join(said) == result.stdout
        with raises(sdk.CommandExitException) as failed:
            await commands.run("echo said; exit 3")
        assert (failed.value.exit_code, failed.value.stdout) == (3, "said\n")
        with raises(sdk.InvalidArgumentException):
            await commands.run("true", cwd="/nowhere")
        assert (await commands.run("sleep 4711 & echo up")).stdout == "up\n"
        assert (await commands.run("pgrep -fc '^sleep 4711'")).stdout == "1\n"
        many = await asyncio.gather(*(commands.run(f"echo {number}") for number in range(10)))
        assert [one.stdout for one in many] == [f"{number}\n" for number in range(10)]

    with part("runs a command in the background, connects to it by its pid, kills it"):
        ticking = await commands.run("while sleep 0.2; do echo tick; done", background=True)
        ticked = asyncio.Event()
        connected = await commands.connect(ticking.pid, on_stdout=lambda _: ticked.set())
        await asyncio.wait_for(ticked.wait(), 10)
        await connected.disconnect()
        assert ticking.pid in await pids() and await commands.kill(ticking.pid)
        await ends_with(sdk.CommandExitException, ticking.wait())
        assert not await commands.kill(ticking.pid) and ticking.pid not in await pids()

    with part("sends input to a command"):
        reading = await commands.run("read line; echo got $line; cat", background=True, stdin=True)
        await commands.send_stdin(reading.pid, "höre\n")
        if streams_input:
            async with commands.stream_input(reading.pid) as typing:
                await typing.send("one ")
                await typing.send(b"two")
        await commands.close_stdin(reading.pid)
        assert (await reading.wait()).stdout == "got höre\n" + ("one two" if streams_input else "")

    with part("ends a command at its time"):
        with raises(sdk.TimeoutException):
            await commands.run("sleep 54321", timeout=1)
        assert (await commands.run("pgrep -fc '^sleep 54321' || true")).stdout == "0\n"

    with part("runs commands and writes files as root"):
        assert (await commands.run("id -un; pwd")).stdout == "user\n/home/user\n"
        assert (await commands.run("id -un; pwd", user="root")).stdout == "root\n/root\n"
        await files.write("/root/secret", "mine", user="root")
        assert (await files.get_info("/root/secret", user="root")).owner == "root"
        with raises(sdk.AuthenticationException):
            await commands.run("true", user="nobody-there")

    with part("uses a terminal"):
        screen = []
        size = sdk.PtySize(rows=24, cols=80)
        terminal = await sandbox.pty.create(size, on_data=screen.append, envs={"WHO": "me"})
        await sandbox.pty.resize(terminal.pid, sdk.PtySize(rows=33, cols=101))
        await sandbox.pty.send_stdin(terminal.pid, b"stty size; echo $WHO-$TERM; exit 0\n")
        await terminal.wait()
        text = b"".join(bytes(data) for data in screen).decode()
        assert "33 101" in text and "me-xterm-256color" in text, text
        other = await sandbox.pty.create(size, on_data=screen.append)
        assert await sandbox.pty.kill(other.pid)
        await ends_with(sdk.CommandExitException, other.wait())

    with part("writes, reads, lists, moves and removes files"):
        assert (await files.write("story/text.txt", "hällo")).path == "/home/user/story/text.txt"
        assert await files.read("/home/user/story/text.txt") == "hällo"
        every_byte = bytes(range(256)) * 100
        await files.write("/home/user/story/bytes", every_byte)
        assert bytes(await files.read("/home/user/story/bytes", format="bytes")) == every_byte
        several = [{"path": f"story/several/{name}", "data": name} for name in "abc"]
        assert [one.name for one in await files.write_files(several)] == ["a", "b", "c"]
        assert await files.make_dir("story/empty") and not await files.make_dir("story/empty")
        assert sorted(entry.name for entry in await files.list("story")) == ["bytes", "empty", "several", "text.txt"]
        await files.rename("story/text.txt", "story/moved/text")
        assert await files.exists("story/moved/text") and not await files.exists("story/text.txt")
        await files.remove("story")
        with raises(sdk.NotFoundException):
            await files.read("story/text.txt")

    with part("streams a large file up and down"):
        large, digest = bytes(range(256)) * (LARGE_MIB * MIB // 256), hashlib.sha256()

        async def chunks():
            for at in range(0, len(large), MIB):
                yield large[at : at + MIB]

        await files.write("large", chunks(), use_octet_stream=True)
        async for chunk in await files.read("large", format="stream"):
            digest.update(chunk)
        assert digest.digest() == hashlib.sha256(large).digest()
        assert (await commands.run("sha256sum < large")).stdout.split()[0] == digest.hexdigest()
        await files.remove("large")

    with part("watches a directory"):
        await files.make_dir("watched")
        seen = []
        kinds = sdk.FilesystemEventType
        watcher = await files.watch_dir("watched", on_event=seen.append, recursive=True, include_entry=True)
        await commands.run("mkdir watched/deep; sleep 1; echo x > watched/deep/file; sleep 1; rm watched/deep/file")
        wanted = {("deep", kinds.CREATE), ("deep/file", kinds.WRITE), ("deep/file", kinds.REMOVE)}

        async def all_seen():
            return wanted <= {(event.name, event.type) for event in seen}

        await until(all_seen, f"{wanted}")
        assert any(event.entry is not None and event.entry.name == "deep" for event in seen)
        await files.write("watched/told", "text")

        async def written():
            return ("told", kinds.WRITE) in {(event.name, event.type) for event in seen}

        await until(written, "events of an upload")
        told = [event.type for event in seen if event.name == "told"]
        assert told == [kinds.CREATE, kinds.CHMOD, kinds.WRITE], told
        await watcher.stop()

    with part("stores metadata with a file"):
        await files.write("marked", "x", metadata={"owner": "me too"})
        assert (await files.get_info("marked")).metadata == {"owner": "me too"}

    with part("serves HTTP and WebSockets from a port of the guest"):
        await files.write("web.py", web.SERVER)
        serving = await commands.run("python3 web.py", background=True, timeout=0)
        at = sandbox.envd_api_url, sandbox.get_host(8080)

        async def answers():
            return await asyncio.to_thread(web.get, *at) == "hello from the guest"

        await until(answers, "an answer from the guest")
        assert await asyncio.to_thread(web.echo, *at, "höre") == "höre"
        assert await serving.kill()

    with part("reads the sandbox's metrics"):
        await until(sandbox.get_metrics, "a sample")
        (sample, *_) = await sandbox.get_metrics()
        assert 0 < sample.mem_used < sample.mem_total and 0 < sample.disk_used < sample.disk_total

    with part("lists sandboxes with filters and pages"):
        others = await asyncio.gather(*(Sandbox.create(timeout=60, metadata={"story": story}) for _ in range(2)))
        pages, ids = Sandbox.list(query=sdk.SandboxQuery(metadata={"story": story}), limit=2), []
        while pages.has_next:
            ids += [found.sandbox_id for found in await pages.next_items()]
        assert len(ids) == 3 and set(ids) == {sandbox.sandbox_id, *(other.sandbox_id for other in others)}
        started_at = (await sandbox.get_info()).started_at
        for started_after, expected in ((started_at, 3), (started_at + datetime.timedelta(seconds=1), 2)):
            query = sdk.SandboxQuery(metadata={"story": story}, started_after=started_after)
            assert len(await Sandbox.list(query=query).next_items()) == expected
        await others[0].set_timeout(0)
        assert await asyncio.gather(*(Sandbox.kill(other.sandbox_id) for other in others)) == [False, True]
        left = await Sandbox.list(query=sdk.SandboxQuery(metadata={"story": story})).next_items()
        assert [found.sandbox_id for found in left] == [sandbox.sandbox_id]

    with part("sets the timeout, shorter and longer"):
        for seconds in (120, 900):
            asked, timeout = now(), datetime.timedelta(seconds=seconds)
            await sandbox.set_timeout(seconds)
            assert asked - SECOND <= (await sandbox.get_info()).end_at - timeout <= now() + SECOND

    with part("pauses, and open streams end with an error of the client's"):
        script = "for i in $(seq 100000); do echo $i; sleep 0.2; done"
        counting = await commands.run(script, background=True, timeout=0)
        silent = await commands.run("sleep 1000", background=True, timeout=0)
        watch_ended = asyncio.get_running_loop().create_future()
        await files.watch_dir("watched", on_event=seen.append, on_exit=watch_ended.set_result, timeout=0)
        assert await getattr(sandbox, pause)() is True
        for stream in (counting, silent):
            await ends_with(sdk.TimeoutException, stream.wait(), GONE)
        ended = await asyncio.wait_for(watch_ended, 30)
        assert isinstance(ended, sdk.TimeoutException) and GONE in str(ended), ended
        assert (await sandbox.get_info()).state == sdk.SandboxState.PAUSED
        assert await getattr(Sandbox, pause)(sandbox.sandbox_id) is False
        assert not await sandbox.is_running()
        with raises(sdk.TimeoutException):
            await commands.run("true")

    with part("connects, and the processes of before go on"):
        again = await Sandbox.connect(sandbox.sandbox_id, timeout=300)
        assert counting.pid in [process.pid for process in await again.commands.list()]
        numbers = []
        followed = await again.commands.connect(counting.pid, on_stdout=numbers.append)

        async def counts():
            return numbers

        await until(counts, "its output")
        assert int(numbers[0].split()[0]) > 1
        assert await again.commands.kill(counting.pid)
        await ends_with(sdk.CommandExitException, followed.wait())
        assert (await commands.run("echo $COLOUR")).stdout == "blue ✓\n"

    with part("is killed during a command, and then is not there"):
        silent = await commands.run("sleep 2000", background=True, timeout=0)
        assert await sandbox.kill()
        await ends_with(sdk.TimeoutException, silent.wait(), GONE)
        assert not await sandbox.is_running() and not await Sandbox.kill(sandbox.sandbox_id)
        with raises(sdk.NotFoundException):
            await Sandbox.connect(sandbox.sandbox_id)
