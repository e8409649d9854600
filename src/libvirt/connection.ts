import { Hypervisor } from '@unraid/libvirt';
import { DomainError, LibvirtUnreachableError } from './errors.js';

const CONNECTION_LOST =
  /failed to connect|cannot recv data|end of file while reading|client socket is closed|connection (reset|refused)|cannot write data|internal error: client|keepalive/i;

/** One connection to libvirt, opened at first use and again after it was lost (libvirtd restarted). */
export class LibvirtConnection {
  readonly #uri: string;
  #open: Promise<Hypervisor> | undefined;

  constructor(uri: string) {
    this.#uri = uri;
  }

  /** Runs `call`; a lost connection is forgotten, so that the next call opens a new one. */
  async use<T>(call: (hypervisor: Hypervisor) => Promise<T>): Promise<T> {
    const opening = (this.#open ??= this.#connect());
    try {
      return await call(await opening);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (CONNECTION_LOST.test(message)) {
        if (this.#open === opening) this.#open = undefined;
        throw new LibvirtUnreachableError(this.#uri, message);
      }
      throw new DomainError(`libvirt: ${message}`, { cause: error });
    }
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.then((hypervisor) => hypervisor.connectClose()).catch(() => undefined);
  }

  async #connect(): Promise<Hypervisor> {
    const hypervisor = new Hypervisor({ uri: this.#uri });
    await hypervisor.connectOpen();
    return hypervisor;
  }
}
