import type { Manifest } from '../src/host/manifest.js';
import type { HostContext } from './host-context.js';
import { domainName } from './machine.js';
import { removeImages } from './remove-images.js';
import { clearWorkspace } from './workspace.js';

/** After a save is durable: all that a sleeping sandbox does not need. Repeating is fine. */
export async function giveBack(context: HostContext, saved: Manifest): Promise<void> {
  context.reached('pause.recorded');
  await removeImages(context, saved);
  context.reached('pause.older-images-removed');
  await context.driver.destroy(domainName(saved.id));
  context.reached('pause.machine-gone');
  await clearWorkspace(context, saved);
  context.reached('pause.workspace-cleared');
}
