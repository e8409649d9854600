import e2b

from story_sync import play

play(e2b, pause="pause", closes_stdin=True, streams_input=True, stores_metadata=True)
