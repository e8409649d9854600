export type KeyErrorCode =
  /** Group or others may read the master key file, or it belongs to somebody else. */
  | 'KeyFileInsecure'
  /** The master key file is there but does not hold a key. */
  | 'KeyFileInvalid'
  /** There is no master key file, and whoever asked must not make one. */
  | 'KeyFileMissing'
  /** A wrapped key does not open: damaged, of another sandbox, or under another master key. */
  | 'WrappedKeyDamaged'
  /** A sealed field does not open: damaged, of another sandbox or name, or under another key. */
  | 'SealedFieldDamaged'
  /** A caller passed a value that cannot be a key, an id or a label. A bug, not bad luck. */
  | 'InvalidKeyArgument';

/** Thrown by everything in `src/keys`. The message is for people and logs; it never holds key or plaintext bytes. */
export class KeyError extends Error {
  override readonly name = 'KeyError';

  constructor(
    readonly code: KeyErrorCode,
    message: string,
  ) {
    super(message);
  }
}
