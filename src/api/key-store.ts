/** What can be told of a key; `id` is the beginning of its hash, and names it. */
export interface KeyFacts {
  id: string;
  tenant: string;
  label?: string | undefined;
  createdAt?: string | undefined;
}

/** Where the API keys of tenants are kept, by their hashes. A file on one machine; a database on several. */
export interface KeyStore {
  /** @returns the key's tenant, or undefined for a key that nobody has; a key that was revoked opens nothing within a second */
  tenantOf(key: string): Promise<string | undefined>;
  list(): Promise<KeyFacts[]>;
  /** @returns the key itself, which stands nowhere else */
  mint(tenant: string, label?: string): Promise<KeyFacts & { key: string }>;
  /** @returns undefined when no key has this id */
  label(id: string, label: string): Promise<KeyFacts | undefined>;
  revoke(id: string): Promise<KeyFacts | undefined>;
}
