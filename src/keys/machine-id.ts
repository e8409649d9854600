import { createHmac } from 'node:crypto';

/**
 * The machine id of a sandbox's guest, 32 hex digits: the same for as long as the sandbox exists, and not to be told from
 * the sandbox's id, which is in public addresses.
 *
 * @param tokensKey the master key's subkey `tokens`, 32 bytes
 */
export const machineIdOf = (tokensKey: Buffer, sandboxId: string): string =>
  createHmac('sha256', tokensKey).update(`dormouse/v1/machine-id/${sandboxId}`).digest('hex').slice(0, 32);
