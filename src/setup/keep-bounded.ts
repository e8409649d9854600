import { copyFile, stat, truncate } from 'node:fs/promises';

const MOST_BYTES = 64 * 1024 * 1024;
const EVERY_MS = 10_000;

/**
 * Keeps a log that another process appends to from growing without end: what it has is moved to `<file>.1`, over what was
 * there. Lines that are written between the copy and the cut are lost.
 *
 * @returns stops it
 */
export function keepBounded(file: string, { mostBytes = MOST_BYTES, everyMs = EVERY_MS } = {}): () => void {
  let looking = false;
  const look = async (): Promise<void> => {
    if ((await stat(file)).size <= mostBytes) return;
    try {
      await copyFile(file, `${file}.1`);
    } finally {
      // Also without a copy, as on a full disk: the file must not go on growing.
      await truncate(file);
    }
  };
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    // An absent file is not there yet, and what cannot be done now is tried again.
    void look()
      .catch(() => undefined)
      .finally(() => (looking = false));
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
