import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';

/** What a machine did by itself, or had done to it. */
export interface DomainEvent {
  domain: string;
  event: 'rebooted' | 'panicked' | 'ended';
  /** In libvirt's words, for people. */
  detail: string;
}

const ENDINGS: [RegExp, string][] = [
  [/^Shutdown Finished after guest request/, 'its guest powered off'],
  [/^Shutdown Finished after host request/, 'its QEMU was told on the host to end'],
  [/^Stopped Destroyed/, 'it was destroyed from outside of this service'],
  [/^Stopped Crashed/, 'its guest has crashed: its kernel panicked'],
  [/^Stopped Failed/, 'its QEMU ended'],
];

const AGAIN_AFTER_MS = 1_000;
const AGAIN_AT_MOST_MS = 30_000;

/** One line of `virsh event --all`. @returns undefined for events that are of no interest. */
export function parseDomainEvent(line: string): DomainEvent | undefined {
  const [, kind, domain, detail = ''] = /event '([a-z-]+)' for domain '([^']+)':? ?(.*)$/.exec(line) ?? [];
  if (domain === undefined) return undefined;
  if (kind === 'reboot') return { domain, event: 'rebooted', detail: 'rebooted by its guest' };
  if (kind === 'lifecycle' && detail.startsWith('Crashed Panicked')) {
    return { domain, event: 'panicked', detail: 'the kernel of its guest panicked' };
  }
  const ending = kind === 'lifecycle' ? ENDINGS.find(([said]) => said.test(detail)) : undefined;
  return ending === undefined ? undefined : { domain, event: 'ended', detail: ending[1] };
}

/**
 * Follows libvirt's events, which the binding cannot. Events of a moment in which libvirtd was away are missed: whoever
 * depends on one looks for itself, too.
 * @returns stops following.
 */
export function followDomainEvents(
  uri: string,
  onEvent: (event: DomainEvent) => void,
  onTrouble: (error: unknown) => void,
): () => void {
  const over = new AbortController();
  let waitMs = AGAIN_AFTER_MS;
  const follow = async (): Promise<void> => {
    // By lines: into a pipe virsh would write in blocks. And it goes when this process does, however that ends.
    const command = [
      '--pdeathsig',
      'TERM',
      'stdbuf',
      '-oL',
      'virsh',
      '-c',
      uri,
      'event',
      '--all',
      '--loop',
      '--timestamp',
    ];
    for await (const line of execa('setpriv', command, { stdin: 'ignore', buffer: false, cancelSignal: over.signal })) {
      waitMs = AGAIN_AFTER_MS;
      const event = parseDomainEvent(line);
      if (event !== undefined) onEvent(event);
    }
  };
  const again = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await follow().catch((error: unknown) => {
        if (!over.signal.aborted) onTrouble(error);
      });
      await delay(waitMs, undefined, { signal: over.signal }).catch(() => undefined);
      waitMs = Math.min(2 * waitMs, AGAIN_AT_MOST_MS);
    }
  };
  void again();
  return () => over.abort();
}
