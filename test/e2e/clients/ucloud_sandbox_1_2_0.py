import ucloud_sandbox

from story_sync import play

play(ucloud_sandbox, pause="beta_pause", closes_stdin=False, streams_input=False, stores_metadata=False)
