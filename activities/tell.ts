import type { EventJournal, HostContext } from './host-context.js';

/**
 * Writes into the log that the sandbox's owner can read. A line that cannot be written (a disk that is full or broken)
 * never fails the step that it tells of: what is done is done.
 */
export async function tell(
  { journal, log }: Pick<HostContext, 'journal' | 'log'>,
  id: string,
  write: (journal: EventJournal) => unknown,
): Promise<void> {
  try {
    await write(journal);
  } catch (error) {
    log.warn({ sandbox: id, err: error }, 'a line of a sandbox’s log could not be written');
  }
}
