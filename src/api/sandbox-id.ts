import { createHmac, randomBytes } from 'node:crypto';

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz';
const LENGTH = 20;

/** `i` and 20 letters or digits (contract 2.3); 103 random bits. */
export function randomSandboxId(): string {
  let id = 'i';
  while (id.length <= LENGTH) {
    // 252 is the largest multiple of 36 in a byte: above it the letters would not be equally likely.
    for (const byte of randomBytes(32)) if (byte < 252 && id.length <= LENGTH) id += LETTERS[byte % 36] ?? '';
  }
  return id;
}

/**
 * The id that a tenant's idempotency key always leads to, so that a repeated create finds the first one's sandbox.
 *
 * @param key any secret of the service: nobody else can tell the id from the idempotency key
 */
export function idempotentSandboxId(key: Buffer, tenant: string, idempotencyKey: string): string {
  const text = `dormouse/v1/idempotency/${JSON.stringify([tenant, idempotencyKey])}`;
  let rest = BigInt(`0x${createHmac('sha256', key).update(text).digest('hex')}`);
  let id = 'i';
  for (let i = 0; i < LENGTH; i += 1) {
    id += LETTERS[Number(rest % 36n)] ?? '';
    rest /= 36n;
  }
  return id;
}
