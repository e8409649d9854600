import { FormatError } from './image-error.js';
import { openImageFile, type Identity, type ImageFile } from './image-file.js';
import { decodeTable, maxTableBytes, type ImageTable } from './image-table.js';
import { digestOfParts, openTail, readTail } from './image-tail.js';

/**
 * The table of an open image of format version 2. That it is the image asked for is checked before anything is opened.
 *
 * @throws FormatError if it is another image, or not genuine
 */
export async function readTable(file: ImageFile, digest: string): Promise<ImageTable> {
  const { tail, tailAt } = await readTail(file.handle, file.size, maxTableBytes(file.header));
  checkDigest(digestOfParts(file.headerBytes, tail), digest);
  const bytes = openTail(file, tail, tailAt);
  return decodeTable(bytes, { header: file.header, headerHash: file.headerHash.toString('hex'), framesEnd: tailAt });
}

export function checkDigest(is: string, wanted: string): void {
  if (is !== wanted) throw new FormatError(`its digest is ${is}, the image asked for has ${JSON.stringify(wanted)}`);
}

/**
 * Opens the files of earlier images that an image refers to.
 *
 * @param pathOf where the file of a generation is
 * @param opened gets them as they are opened; the caller closes them, also when this throws
 * @returns the files in the order of the table, `own` first
 * @throws FormatError naming the file that is missing, or not the one that is meant
 */
export async function openEarlierFiles(
  own: ImageFile,
  table: ImageTable,
  imageKey: Buffer,
  pathOf: (generation: number) => string,
  opened: ImageFile[],
): Promise<ImageFile[]> {
  const files = [own];
  for (const { generation, headerHash } of table.files.slice(1)) {
    const wanted: Identity = { ...own.header, generation };
    const file = await openImageFile(pathOf(generation), imageKey, wanted);
    opened.push(file);
    files.push(file);
    if (file.headerHash.toString('hex') !== headerHash) {
      throw new FormatError(
        `it is not the file that the image of generation ${own.header.generation} refers to`,
        file.path,
      );
    }
  }
  for (const { file, offset, length } of table.parts) {
    if (offset + length > files[file]!.size) throw new FormatError('it is cut short', files[file]!.path);
  }
  return files;
}
