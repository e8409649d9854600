import { readFile } from 'node:fs/promises';
import { Connection, type ConnectionOptions } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { notingRetries } from './attempts.js';

/** The `temporal` part of the configuration. */
export interface TemporalSettings {
  address: string;
  namespace: string;
  tls: boolean;
  tlsCaFile: string | undefined;
  tlsCertFile: string | undefined;
  tlsKeyFile: string | undefined;
  apiKeyFile: string | undefined;
}

/** For the api: connects at first use, so that the api starts without Temporal and finds it by itself later. */
export const lazyConnection = async (settings: TemporalSettings): Promise<Connection> =>
  Connection.lazy({ ...(await options(settings)), interceptors: [notingRetries()] });

/** For workers. @throws when Temporal does not answer; the supervisor starts the worker again. */
export const workerConnection = async (settings: TemporalSettings): Promise<NativeConnection> =>
  NativeConnection.connect(await options(settings));

async function options(settings: TemporalSettings) {
  const apiKey = settings.apiKeyFile === undefined ? undefined : (await readFile(settings.apiKeyFile, 'utf8')).trim();
  return {
    address: settings.address,
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(await tls(settings)),
  };
}

async function tls(settings: TemporalSettings): Promise<Pick<ConnectionOptions, 'tls'>> {
  const { tlsCaFile, tlsCertFile, tlsKeyFile } = settings;
  if (!settings.tls && tlsCaFile === undefined && tlsCertFile === undefined) return {};
  if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined)) {
    throw new Error('DORMOUSE_TEMPORAL_TLS_CERT_FILE and DORMOUSE_TEMPORAL_TLS_KEY_FILE go together; set both or none');
  }
  return {
    tls: {
      ...(tlsCaFile === undefined ? {} : { serverRootCACertificate: await readFile(tlsCaFile) }),
      ...(tlsCertFile === undefined || tlsKeyFile === undefined
        ? {}
        : { clientCertPair: { crt: await readFile(tlsCertFile), key: await readFile(tlsKeyFile) } }),
    },
  };
}
