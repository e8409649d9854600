import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { Server } from 'node:https';
import type { Logger } from 'pino';

export interface CertificateFiles {
  certFile: string;
  keyFile: string;
}

export interface Certificate {
  cert: Buffer;
  key: Buffer;
}

const LOOK_EVERY_MS = 5_000;

/** @throws Error that names the file and what is wrong with it */
export async function readCertificate({ certFile, keyFile }: CertificateFiles): Promise<Certificate> {
  const read = <T>(file: string, what: string, parse: (bytes: Buffer) => T): Promise<[Buffer, T]> =>
    readFile(file)
      .then((bytes): [Buffer, T] => [bytes, parse(bytes)])
      .catch((error: Error) => {
        throw new Error(`${file} cannot be used as ${what}: ${error.message}`);
      });
  const [cert, parsed] = await read(certFile, 'certificate (PEM)', (bytes) => new X509Certificate(bytes));
  const [key, own] = await read(keyFile, 'private key (PEM, no passphrase)', (bytes) => createPrivateKey(bytes));
  if (!parsed.checkPrivateKey(own)) throw new Error(`the key ${keyFile} is not that of the certificate ${certFile}`);
  return { cert, key };
}

/**
 * New connections get the certificate that is in the files now, without a restart. While it cannot be used, as between
 * the two writes of a renewal, they get the one before.
 *
 * @returns a function that ends this
 */
export function followCertificate(
  files: CertificateFiles,
  servers: readonly Pick<Server, 'setSecureContext'>[],
  log: Logger,
  lookEveryMs = LOOK_EVERY_MS,
): () => void {
  let served: string | undefined;
  let complained: string | undefined;
  const look = async (): Promise<void> => {
    const version = await versionOf(files);
    served ??= version;
    if (version === served || version === complained) return;
    try {
      const certificate = await readCertificate(files);
      for (const server of servers) server.setSecureContext(certificate);
      served = version;
      log.info({ certificate: files.certFile }, 'a changed certificate is served from now on');
    } catch (error) {
      complained = version;
      log.warn({ err: error }, 'the certificate has changed and cannot be used; the one before is served on');
    }
  };
  void look();
  const timer = setInterval(() => void look(), lookEveryMs).unref();
  return () => clearInterval(timer);
}

async function versionOf({ certFile, keyFile }: CertificateFiles): Promise<string> {
  const one = async (file: string): Promise<string> => {
    const found = await stat(file).catch(() => undefined);
    return found === undefined ? 'missing' : `${found.ino} ${found.mtimeMs} ${found.size}`;
  };
  return `${await one(certFile)}, ${await one(keyFile)}`;
}
