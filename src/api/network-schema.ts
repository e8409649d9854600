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

/**
 * Only what is enforced gets through: internet access as a whole, on or off. Any other option, known to us or not, is
 * refused by name, never ignored.
 *
 * @returns whether the network options deny internet access
 */
export const networkSchema = z
  .record(z.string(), z.unknown(), 'expected an object')
  .transform((network, ctx): { denyInternet: boolean } => {
    const { allowPublicTraffic, denyOut, ...others } = network;
    if (allowPublicTraffic !== undefined && allowPublicTraffic !== null && allowPublicTraffic !== true) {
      ctx.addIssue({ code: 'custom', path: ['allowPublicTraffic'], message: refusal('allowPublicTraffic: false') });
    }
    const denyInternet = Array.isArray(denyOut) && denyOut.length === 1 && denyOut[0] === EVERYTHING;
    if (!denyInternet && !isEmpty(denyOut)) {
      const message = `${refusal('denyOut')}, or make it ["${EVERYTHING}"] to deny all`;
      ctx.addIssue({ code: 'custom', path: ['denyOut'], message });
    }
    for (const [name, value] of Object.entries(others)) {
      if (!isEmpty(value)) ctx.addIssue({ code: 'custom', path: [name], message: refusal(name) });
    }
    return { denyInternet };
  });

/** A field outside `network` that is refused when it asks for anything. */
export const notOffered = (name: string) =>
  z
    .unknown()
    .optional()
    .refine(isEmpty, { error: refusal(name) });
