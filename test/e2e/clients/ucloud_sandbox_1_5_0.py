import ucloud_sandbox

from story_sync import play

play(ucloud_sandbox, pause="pause", closes_stdin=True, streams_input=False, stores_metadata=True)
