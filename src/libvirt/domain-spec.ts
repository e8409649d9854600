/** Everything that a domain's XML is made from. Paths are absolute; sizes in MiB. */
export interface DomainSpec {
  /** Domain name, also used as QEMU's process name. */
  name: string;
  uuid: string;
  /** Kept in the domain's metadata, so that an operator (and the reaper) can tell whose machine this is. */
  sandboxId: string;
  generation: number;
  accelerator: 'kvm' | 'tcg';
  /** Versioned machine type such as `pc-q35-10.0`: a saved machine resumes only on the same one. */
  machineType: string;
  /** A named model, never host-passthrough: a saved machine must find the same CPU again. */
  cpuModel: string;
  cpuCount: number;
  memoryMiB: number;
  kernel: string;
  initrd: string;
  kernelArguments: string;
  disk: DiskSpec;
  /** The guest's memory: a file in tmpfs. */
  memoryFile: string;
  /** Unix socket of a second QMP monitor; QEMU waits on it at every start (see `migration-capability.ts`). */
  qmpSocket: string;
  network: NetworkSpec;
  /** Unix user and group that QEMU and passt run as. */
  uid: number;
  gid: number;
  /**
   * By which the guest's kernel tells of its panic. Absent: no such device, as in machines of before there was one. What was
   * saved with it, or without, is restored the same way.
   */
  panicDevice?: boolean | undefined;
  /** What becomes of the machine when its guest's kernel panics; it ends when this is absent. */
  onPanic?: 'end' | 'reboot';
  /** Where the guest's serial console is written; absent: discarded. */
  consoleLog?: string;
}

export interface DiskSpec {
  path: string;
  /** The template's disk below an overlay. */
  backingFile?: string;
  /** libvirt secret with the LUKS passphrase; absent for a template's plain disk. */
  secretUuid?: string;
  /** Reads and writes together; absent: no limit. Nothing that a guest sees: images with and without it are restored alike. */
  bytesPerSecond?: number | undefined;
}

export interface NetworkSpec {
  macAddress: string;
  /** Loopback address of the host on which passt forwards the agent's port. */
  address: string;
  agentPort: number;
}
