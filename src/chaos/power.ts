import { open } from 'node:fs/promises';
import koffi from 'koffi';

/** `_IOR('X', 125, __u32)` and its flag "nothing is written any more, the journal neither": linux/fs/ext4/ext4.h. */
const EXT4_IOC_SHUTDOWN = 0x8004587d;
const EXT4_GOING_FLAGS_NOLOGFLUSH = 2;

const ioctl = koffi.load('libc.so.6').func('int ioctl(int, unsigned long, void *)');

/**
 * What a power cut does to a file system: from this moment nothing reaches the disk; what was not synced, and the kernel
 * has not written of its own accord, is gone once it is mounted again.
 * @param directory root of an ext4 file system. @throws Error when the kernel refuses.
 */
export async function cutPower(directory: string): Promise<void> {
  const root = await open(directory, 'r');
  const flags = Buffer.alloc(4);
  flags.writeUInt32LE(EXT4_GOING_FLAGS_NOLOGFLUSH);
  try {
    if (ioctl(root.fd, EXT4_IOC_SHUTDOWN, flags) !== 0)
      throw new Error(`the file system of ${directory} cannot be cut off from its disk (ext4 and root are needed)`);
  } finally {
    await root.close();
  }
}
