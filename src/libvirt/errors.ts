export class LibvirtUnreachableError extends Error {
  override readonly name = 'LibvirtUnreachableError';
  constructor(uri: string, cause: string) {
    super(`libvirt does not answer at ${uri} (${cause}). Start libvirtd; the work goes on by itself then.`);
  }
}

export class VirshError extends Error {
  override readonly name = 'VirshError';
}

/** libvirt answered, and what it said was no. */
export class DomainError extends Error {
  override readonly name = 'DomainError';
}
