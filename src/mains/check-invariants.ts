import { setTimeout as delay } from 'node:timers/promises';
import { derivedUuid, DOMAIN_PREFIX } from '../../activities/machine.js';
import { readConfig } from '../config.js';
import { SLOTS_DIRECTORY } from '../host/slot-claims.js';
import { findViolations } from '../invariants/find-violations.js';
import { observe } from '../invariants/observe.js';
import { describe, keyOf } from '../invariants/violation.js';
import { existingMasterKey } from '../keys/master-key.js';
import { GUARD_TABLE } from '../setup/guard-rules.js';
import { lazyConnection } from '../temporal/connection.js';
import { SandboxRuns } from '../temporal/sandbox-runs.js';

/** What is in the middle of a step while the service works is not there any more when looked at again. */
const LOOK_AGAIN_MS = 3_000;

/**
 * `npm run check:invariants`: compares libvirt, processes, files, secrets, firewall and Temporal, changes nothing.
 * Exit code 0: all holds. 1: violations, one by one. 2: nothing can be said, because something did not answer.
 */
async function main(): Promise<number> {
  const config = readConfig(process.env);
  const manifestsKey = (await existingMasterKey(config.masterKeyFile)).derive('manifests');
  const connection = await lazyConnection(config.temporal);
  const runs = new SandboxRuns(connection, config.temporal.namespace);
  const look = async () =>
    findViolations(
      await observe({
        ...{ stateDir: config.stateDir, libvirtUri: config.libvirtUri, uidBase: config.uidBase },
        ...{ slotsDirectory: SLOTS_DIRECTORY, domainPrefix: DOMAIN_PREFIX, digests: true },
        ...{ guardTable: GUARD_TABLE, manifestsKey },
        secretUuid: (id) => derivedUuid(id, 'secret'),
        workflows: async (ids) => {
          const listed = await runs.listed(config.hostId);
          const all = [...new Set([...listed, ...ids])];
          return ids.length === 0 ? all.map((id) => ({ id, run: 'open' as const })) : runs.ask(all);
        },
      }),
    );
  try {
    let found = await look();
    if (found.length > 0) {
      await delay(LOOK_AGAIN_MS);
      const before = new Set(found.map(keyOf));
      found = (await look()).filter((violation) => before.has(keyOf(violation)));
    }
    for (const violation of found) process.stdout.write(`${describe(violation)}\n`);
    process.stdout.write(
      found.length === 0 ? `all invariants hold for ${config.stateDir}\n` : `${found.length} violations\n`,
    );
    return found.length === 0 ? 0 : 1;
  } finally {
    await connection.close();
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(
      `check-invariants: nothing can be said: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exit(2);
  },
);
