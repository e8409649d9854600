import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';

/** Readable by everyone who can read Temporal: never anything secret. */
export const SandboxStatusAttribute = defineSearchAttributeKey('SandboxStatus', SearchAttributeType.KEYWORD);
export const SandboxHostAttribute = defineSearchAttributeKey('SandboxHost', SearchAttributeType.KEYWORD);
export const SandboxTemplateAttribute = defineSearchAttributeKey('SandboxTemplate', SearchAttributeType.KEYWORD);
export const SandboxTenantAttribute = defineSearchAttributeKey('SandboxTenant', SearchAttributeType.KEYWORD);

export const SEARCH_ATTRIBUTE_KEYS = [
  SandboxStatusAttribute,
  SandboxHostAttribute,
  SandboxTemplateAttribute,
  SandboxTenantAttribute,
] as const;
