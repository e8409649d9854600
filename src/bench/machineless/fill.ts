import type { ServiceClient } from '../service-client.js';
import { inLanes } from './lanes.js';

/** Two cores are busy with as many. */
const AT_ONCE = 12;
const METADATA_KINDS = 10;

/** Creates and pauses so many sandboxes, one in ten of them with metadata `kind=0`. @returns one of them. */
export async function fillWithPaused(client: ServiceClient, count: number): Promise<string> {
  let any = '';
  await inLanes(AT_ONCE, count, async (index) => {
    const { sandbox } = await client.create({ metadata: { kind: String(index % METADATA_KINDS) } });
    await client.pause(sandbox);
    any = sandbox.id;
  });
  return any;
}
