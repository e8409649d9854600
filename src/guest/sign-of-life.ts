import { health, type GuestAddress } from './client.js';

/** Later it is passt that gives the connection up: the guest said nothing at all. */
const KERNEL_REFUSES_WITHIN_MS = 5_000;
/** What the host lacks when it cannot ask. */
const OWN_TROUBLE = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'EADDRNOTAVAIL']);

/** Asks once. passt takes every connection; what becomes of it tells who is there. Never rejects. */
export async function signOfLife(
  address: GuestAddress,
  signal: AbortSignal,
): Promise<'agent' | 'kernel' | 'none' | 'unknown'> {
  const start = performance.now();
  try {
    await health(address, signal);
    return 'agent';
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (OWN_TROUBLE.has(code)) return 'unknown';
    // Whatever it is that it answers, it answers.
    if (code.startsWith('HPE_')) return 'agent';
    const soon = performance.now() - start < KERNEL_REFUSES_WITHIN_MS;
    return code === 'ECONNRESET' && soon ? 'kernel' : 'none';
  }
}
