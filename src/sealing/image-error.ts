/** The image cannot be used: damaged, incomplete, or not the one that was asked for. It is left as it is. */
export class ImageDamagedError extends Error {
  override readonly name = 'ImageDamagedError';
  /** As in the table of errors that workflow and api share. */
  readonly code = 'ImageDamaged';

  constructor(
    readonly sandboxId: string,
    readonly path: string,
    /** What is wrong, for people. */
    readonly problem: string,
  ) {
    super(`the image ${path} of sandbox ${JSON.stringify(sandboxId)} is not usable: ${problem}`);
  }
}

/** Something inside an image is not as the format demands. `openImage` turns it into an `ImageDamagedError`. */
export class FormatError extends Error {
  override readonly name = 'FormatError';

  constructor(
    problem: string,
    /** Which of the image's files is at fault; absent where only one can be meant. */
    readonly path?: string,
  ) {
    super(problem);
  }
}
