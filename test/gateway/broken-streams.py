"""Opens streams with the client sys.argv[1], says so, and then prints how each ended, as JSON."""

import asyncio
import importlib
import json
import sys
import threading

sdk = importlib.import_module(sys.argv[1])
ends = {}


def told(error):
    return ["TimeoutException" if isinstance(error, sdk.TimeoutException) else type(error).__name__, str(error)]


def ended(name, work):
    try:
        work()
        ends[name] = ["no error", ""]
    except Exception as error:
        ends[name] = told(error)


async def aended(name, work):
    try:
        await work
        ends[name] = ["no error", ""]
    except Exception as error:
        ends[name] = told(error)


said = []
sandbox = sdk.Sandbox.connect("i1")
command = sandbox.commands.run("echo said; sleep 1000", background=True, timeout=0)
terminal = sandbox.pty.create(sdk.PtySize(rows=24, cols=80), timeout=0)
threads = [
    threading.Thread(target=ended, args=("command", lambda: command.wait(on_stdout=said.append))),
    threading.Thread(target=ended, args=("terminal", terminal.wait)),
]
for thread in threads:
    thread.start()


async def main():
    alone = await sdk.AsyncSandbox.connect("i1")
    handle = await alone.commands.run("sleep 1000", background=True, timeout=0)
    gone = asyncio.get_running_loop().create_future()

    def on_exit(error=None):
        if error is None:
            gone.set_result(None)
        else:
            gone.set_exception(error)

    await alone.files.watch_dir("/tmp", on_event=lambda _: None, on_exit=on_exit, timeout=0)
    while not said:
        await asyncio.sleep(0.05)
    print("open", flush=True)
    await asyncio.gather(aended("async command", handle.wait()), aended("watch", gone))


asyncio.run(main())
for thread in threads:
    thread.join()
print(json.dumps({"ends": ends, "said": "".join(said), "running": sandbox.is_running()}), flush=True)
