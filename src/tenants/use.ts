/** Wire shape: what a tenant's sandboxes on one host, or on all, take up. Plain JSON. */
export interface TenantUse {
  /** Those that have a machine, or are on the way to one or from one. */
  awake: AwakeSandbox[];
  asleep: {
    count: number;
    diskMiB: number;
    bytes: number;
    /** The part of each that was asked for and sleeps, by id. */
    bytesOf?: Record<string, number>;
  };
}

export interface AwakeSandbox {
  id: string;
  cpus: number;
  memoryMiB: number;
  diskMiB: number;
  /** Its timeout pauses it: nobody is asked then, so its place among the sleeping ones is taken already. */
  fallsAsleep: boolean;
}

export const NO_USE: TenantUse = { awake: [], asleep: { count: 0, diskMiB: 0, bytes: 0 } };

export const sumOfUses = (uses: readonly TenantUse[]): TenantUse =>
  uses.reduce(
    (sum, { awake, asleep }) => ({
      awake: [...sum.awake, ...awake],
      asleep: {
        count: sum.asleep.count + asleep.count,
        diskMiB: sum.asleep.diskMiB + asleep.diskMiB,
        bytes: sum.asleep.bytes + asleep.bytes,
        ...(asleep.bytesOf === undefined ? {} : { bytesOf: { ...sum.asleep.bytesOf, ...asleep.bytesOf } }),
      },
    }),
    NO_USE,
  );
