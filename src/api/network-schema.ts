import { z } from 'zod';

/** What upstream calls "all traffic". */
const EVERYTHING = '0.0.0.0/0';

const isEmpty = (value: unknown): boolean =>
  value === null ||
  value === undefined ||
  (Array.isArray(value) && value.length === 0) ||
  (typeof value === 'object' && Object.keys(value).length === 0);

const refusal = (name: string): string =>
  `the option ${name} is not enforced by this service yet, so it is refused: leave it out`;

/** A host name or address with or without a port, once `${PORT}` stands for a number. */
const isHost = (mask: string): boolean => {
  const host = mask.replaceAll('${PORT}', '8080');
  return /^[A-Za-z0-9.:_[\]-]{1,255}$/.test(host) && URL.canParse(`http://${host}`);
};

/**
 * Only what is enforced gets through: internet access as a whole, whether ports are public, the `Host` that servers see.
 * Any other option, known to us or not, is refused by name, never ignored.
 */
export const networkSchema = z
  .record(z.string(), z.unknown(), 'expected an object')
  .transform((network, ctx): { denyInternet: boolean; restrictTraffic: boolean; maskRequestHost?: string } => {
    const { allowPublicTraffic, denyOut, maskRequestHost, ...others } = network;
    if (!isEmpty(allowPublicTraffic) && typeof allowPublicTraffic !== 'boolean') {
      ctx.addIssue({ code: 'custom', path: ['allowPublicTraffic'], message: 'expected true or false' });
    }
    const mask = typeof maskRequestHost === 'string' && isHost(maskRequestHost) ? { maskRequestHost } : {};
    if (!isEmpty(maskRequestHost) && !('maskRequestHost' in mask)) {
      const message = 'expected a host, with or without a port, in which ${PORT} stands for the port asked for';
      ctx.addIssue({ code: 'custom', path: ['maskRequestHost'], message });
    }
    const denyInternet = Array.isArray(denyOut) && denyOut.length === 1 && denyOut[0] === EVERYTHING;
    if (!denyInternet && !isEmpty(denyOut)) {
      const message = `${refusal('denyOut')}, or make it ["${EVERYTHING}"] to deny all`;
      ctx.addIssue({ code: 'custom', path: ['denyOut'], message });
    }
    for (const [name, value] of Object.entries(others)) {
      if (!isEmpty(value)) ctx.addIssue({ code: 'custom', path: [name], message: refusal(name) });
    }
    return { denyInternet, restrictTraffic: allowPublicTraffic === false, ...mask };
  });

/** A field outside `network` that is refused when it asks for anything. */
export const notOffered = (name: string) =>
  z
    .unknown()
    .optional()
    .refine(isEmpty, { error: refusal(name) });
