import type { Admission, Admitted } from '../tenants/admission.js';
import type { Claim } from '../tenants/amounts.js';
import type { SandboxSpec } from '../../workflows/view.js';
import { codeOf } from './errors.js';

/**
 * Does `work` if the tenant's quotas have room for what it takes up, which counts until its outcome is known.
 *
 * @throws QuotaExceeded, or what `work` throws
 */
export async function admitted<T>(
  admission: Admission,
  tenant: string,
  claim: Claim,
  work: (admitted: Admitted) => Promise<T>,
): Promise<T> {
  const held = await admission.admit(tenant, claim);
  try {
    const result = await work(held);
    held.done();
    return result;
  } catch (error) {
    if (codeOf(error) === 'OutcomeUnknown') held.unknown();
    else held.failed();
    throw error;
  }
}

/** @param fallsAsleep whether its timeout will pause it */
export const claimOf = (
  kind: Claim['kind'],
  { id, cpuCount, memoryMiB, diskMiB }: Pick<SandboxSpec, 'cpuCount' | 'memoryMiB' | 'diskMiB'> & { id?: string },
  fallsAsleep: boolean,
): Claim => ({ kind, ...(id === undefined ? {} : { id }), cpus: cpuCount, memoryMiB, diskMiB, fallsAsleep });
