import path from 'node:path';

const MEMORY_POOL = 'template-copies';
const DISCARDED = 'being-freed';

/** Where a host keeps what. Everything below `stateDir` belongs to one sandbox, to one of the pools, or to the service. */
export class StatePaths {
  readonly sandboxes: string;
  /** tmpfs: plain guest memory and device state live here only. */
  readonly memory: string;
  readonly overlayPool: string;
  /** In the same tmpfs. Its name is no sandbox's id. */
  readonly memoryPool: string;
  /** As that. */
  readonly discarded: string;

  constructor(readonly root: string) {
    this.sandboxes = path.join(root, 'sandboxes');
    this.memory = path.join(root, 'memory');
    this.memoryPool = path.join(this.memory, MEMORY_POOL);
    this.discarded = path.join(this.memory, DISCARDED);
    this.overlayPool = path.join(root, 'overlays');
  }

  sandbox(id: string): SandboxPaths {
    const disk = path.join(this.sandboxes, id);
    const memory = path.join(this.memory, id);
    return {
      directory: disk,
      manifest: path.join(disk, 'manifest.json'),
      wrappedKey: path.join(disk, 'key.wrapped'),
      overlay: path.join(disk, 'overlay.qcow2'),
      metrics: path.join(disk, 'metrics.jsonl'),
      log: path.join(disk, 'log.jsonl'),
      image: (generation) => path.join(disk, `image-${generation}.sealed`),
      memoryDirectory: memory,
      memoryFile: path.join(memory, 'ram'),
      qmpSocket: path.join(memory, 'qmp'),
      deviceStateDirectory: path.join(this.memory, `${id}.state`),
      deviceState: path.join(this.memory, `${id}.state`, 'device'),
      restorePipe: path.join(this.memory, `${id}.state`, 'restore'),
    };
  }
}

export interface SandboxPaths {
  /** On disk. */
  directory: string;
  manifest: string;
  wrappedKey: string;
  overlay: string;
  /** What `src/journal` keeps for the sandbox's owner. */
  metrics: string;
  log: string;
  image: (generation: number) => string;
  /** In tmpfs, owned by the sandbox's unix user. */
  memoryDirectory: string;
  memoryFile: string;
  qmpSocket: string;
  /** In tmpfs, root's alone: QEMU must not be able to change what it will be restored from. */
  deviceStateDirectory: string;
  deviceState: string;
  /** A named pipe while a machine is being restored, see `src/libvirt/restore-pipe.ts`. */
  restorePipe: string;
}
