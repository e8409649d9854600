"""The user document's story, narrated. Run by `make demo` against a running service."""
import os
import subprocess
import sys
import time

from ucloud_sandbox import Sandbox

COUNTER = """
import itertools, os, time
for count in itertools.count(1):
    with open('/dev/shm/next', 'w') as file:
        file.write(str(count))
    # Nobody reads a file that is not written yet.
    os.replace('/dev/shm/next', '/dev/shm/count')
    time.sleep(0.1)
"""


def say(text: str) -> None:
    print(f"  {text}", flush=True)


def machine_is_there(sandbox_id: str) -> bool:
    names = subprocess.run(["virsh", "-q", "list", "--name"], capture_output=True, text=True).stdout.split()
    return f"dormouse-{sandbox_id}" in names


def memory_mib() -> int:
    used = subprocess.run(["df", "--output=used", "-m", sys.argv[1]], capture_output=True, text=True).stdout.split()
    return int(used[1])


def timed(what: str, call):
    start = time.time()
    result = call()
    say(f"{what}: {time.time() - start:.2f} s")
    return result


print("\nDormouse: a sandbox that sleeps and wakes exactly as it was\n")
free = memory_mib()
sandbox = timed("created a sandbox", lambda: Sandbox.create(timeout=600))
say(f"its id is {sandbox.sandbox_id}, its Temporal workflow sandbox-{sandbox.sandbox_id}")
try:
    sandbox.files.write("/home/user/counter.py", COUNTER)
    process = sandbox.commands.run("python3 /home/user/counter.py", background=True)
    say(f"started a counter in memory, pid {process.pid}")
    time.sleep(2)
    before = int(sandbox.commands.run("cat /dev/shm/count").stdout)
    say(f"it has counted to {before}; guests use {memory_mib() - free} MiB of the host's memory")
    timed("paused it, encrypted and durable", lambda: sandbox.beta_pause())
    say(f"its machine is {'STILL THERE' if machine_is_there(sandbox.sandbox_id) else 'gone'}; guests use {memory_mib() - free} MiB")
    say("five seconds pass")
    time.sleep(5)
    again = timed("connected to it", lambda: Sandbox.connect(sandbox.sandbox_id))
    after = int(again.commands.run("cat /dev/shm/count").stdout)
    alive = process.pid in [p.pid for p in again.commands.list()]
    say(f"the counter stands at {after}: it went on from {before}, and the five seconds never happened to it")
    say(f"pid {process.pid} is {'still running' if alive else 'GONE'}")
    assert alive and before < after < before + 60, "the counter did not go on from where it stood"
finally:
    Sandbox.kill(sandbox.sandbox_id)
say("killed it: machine, key, secret and files are gone\n")
