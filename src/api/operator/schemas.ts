import { z } from 'zod';
import { limitsChange } from '../../tenants/limits.js';

export const tenantName = z
  .string('expected the name of a tenant')
  .regex(/^[^\p{Cc}/]{1,64}$/u, 'expected 1 to 64 characters without "/" and control characters');

const label = z.string('expected text').max(200, 'longer than 200 characters');

export const newKey = z.strictObject({ tenant: tenantName, label: label.optional() });
export const keyChange = z.strictObject({ label });
export const keysQuery = z.object({ tenant: tenantName.optional() });
export const tenantChange = z.strictObject({ limits: limitsChange });
