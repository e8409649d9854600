const inUse = new Set<{ object: object }>();

/**
 * Runs a call of the binding on one of its objects, which cannot become garbage until the call has ended.
 *
 * Danger: the binding hands its threads a bare pointer. Of an object that nobody refers to any more, which is that of most
 * calls once they have begun, the memory is given away under them, and the call reaches whatever stands there then: now
 * and then another machine, which was destroyed in place of one that was looked up and found.
 */
export async function pinned<T extends object, R>(object: T, call: (object: T) => Promise<R>): Promise<R> {
  const pin = { object };
  inUse.add(pin);
  try {
    return await call(object);
  } finally {
    inUse.delete(pin);
  }
}
