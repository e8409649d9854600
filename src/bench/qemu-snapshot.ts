import { open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import type { FloorGuest } from './floor.js';

const TAG = 'bench';
const LOOK_EVERY_MS = 10;

/** QEMU's own way: an internal snapshot, memory included, in the qcow2 file of a plain guest's disk. */
export class QemuSnapshot {
  #jobs = 0;

  constructor(
    private readonly guest: FloorGuest,
    private readonly libvirtUri: string,
  ) {}

  /** @returns seconds until the snapshot is taken and the disk's file is synced. The guest stands from then on. */
  async save(): Promise<number> {
    const disk = await this.#disk();
    const start = performance.now();
    const id = await this.#concluded('snapshot-save', { vmstate: disk, devices: [disk] });
    const file = await open(this.guest.disk, 'r+');
    await file.sync();
    await file.close();
    const seconds = (performance.now() - start) / 1000;
    await this.#qmp('job-dismiss', { id });
    await this.#qmp('stop');
    return seconds;
  }

  /** @returns seconds until the agent answers. Its QEMU is there already, unlike after any other way of saving. */
  async load(): Promise<number> {
    const disk = await this.#disk();
    const start = performance.now();
    const id = await this.#concluded('snapshot-load', { vmstate: disk, devices: [disk] });
    await this.#qmp('cont');
    await this.guest.answers();
    const seconds = (performance.now() - start) / 1000;
    await this.#qmp('job-dismiss', { id });
    await this.#qmp('job-dismiss', { id: await this.#concluded('snapshot-delete', { devices: [disk] }) });
    return seconds;
  }

  /** @returns id of the job, which is still to be dismissed. */
  async #concluded(command: string, where: object): Promise<string> {
    const id = `bench-${this.#jobs++}`;
    await this.#qmp(command, { 'job-id': id, tag: TAG, ...where });
    for (;;) {
      const jobs = (await this.#qmp('query-jobs')) as { id: string; status: string; error?: string }[];
      const job = jobs.find((one) => one.id === id);
      if (job?.status === 'concluded') {
        if (job.error !== undefined) throw new Error(`${command} of ${this.guest.name}: ${job.error}`);
        return id;
      }
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Name of the node that is the guest's disk. */
  async #disk(): Promise<string> {
    const nodes = (await this.#qmp('query-named-block-nodes', { flat: true })) as {
      drv: string;
      'node-name': string;
    }[];
    const disk = nodes.find(({ drv }) => drv === 'qcow2');
    if (disk === undefined) throw new Error(`${this.guest.name} has no qcow2 disk`);
    return disk['node-name'];
  }

  async #qmp(execute: string, args: object = {}): Promise<unknown> {
    const command = JSON.stringify({ execute, ...(Object.keys(args).length === 0 ? {} : { arguments: args }) });
    const { stdout } = await execa('virsh', ['-c', this.libvirtUri, 'qemu-monitor-command', this.guest.name, command]);
    const answer = JSON.parse(stdout) as { return?: unknown; error?: { desc: string } };
    if (answer.error !== undefined)
      throw new Error(`QEMU refused ${execute} of ${this.guest.name}: ${answer.error.desc}`);
    return answer.return;
  }
}
