"""A story in named parts: one line of JSON for each, as soon as it is over, with what went wrong in it."""
import contextlib
import json
import time
import traceback


@contextlib.contextmanager
def part(name: str):
    began = time.monotonic()
    error = None
    try:
        yield
    except Exception:
        error = traceback.format_exc()
    print(json.dumps({"part": name, "seconds": round(time.monotonic() - began, 2), "error": error}), flush=True)


@contextlib.contextmanager
def raises(*kinds: type):
    """Passes when the block raises one of these and tells the exception in `.value`."""
    caught = Caught()
    try:
        yield caught
    except kinds as error:
        caught.value = error
        return
    raise AssertionError(f"nothing was raised, {kinds} was expected")


class Caught:
    value: Exception
