import asyncio

import e2b

from story_async import play

asyncio.run(play(e2b, pause="pause", streams_input=True))
