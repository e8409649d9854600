import { Server, ServerCredentials, status, type ServiceDefinition, type UntypedHandleCall } from '@grpc/grpc-js';
import { Connection } from '@temporalio/client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { notingRetries } from '../../src/temporal/attempts.js';
import { TemporalSandboxClient } from '../../src/temporal/sandbox-client.js';

/** A Temporal that does as it is told: what each attempt of an update is answered with, the last one for ever. */
let temporal: Server;
let connection: Connection;
let client: TemporalSandboxClient;
let answers: number[];
let attempts: number;
let signals: number;

const SERVICE = '/temporal.api.workflowservice.v1.WorkflowService';
const method = (name: string) => ({
  ...{ path: `${SERVICE}/${name}`, requestStream: false, responseStream: false },
  requestSerialize: (bytes: Buffer) => bytes,
  requestDeserialize: (bytes: Buffer) => bytes,
  responseSerialize: (bytes: Buffer) => bytes,
  responseDeserialize: (bytes: Buffer) => bytes,
});

beforeEach(async () => {
  temporal = new Server();
  attempts = 0;
  signals = 0;
  const update: UntypedHandleCall = (_call: unknown, answer: (error: { code: number; details: string }) => void) => {
    attempts += 1;
    answer({ code: answers.length > 1 ? answers.shift()! : answers[0]!, details: 'as the test says' });
  };
  const systemInfo: UntypedHandleCall = (_call: unknown, answer: (error: null, bytes: Buffer) => void) =>
    answer(null, Buffer.alloc(0));
  const signal: UntypedHandleCall = (_call: unknown, answer: (error: null, bytes: Buffer) => void) => {
    signals += 1;
    answer(null, Buffer.alloc(0));
  };
  const service = {
    getSystemInfo: method('GetSystemInfo'),
    update: method('UpdateWorkflowExecution'),
    start: method('ExecuteMultiOperation'),
    signal: method('SignalWorkflowExecution'),
  } satisfies ServiceDefinition;
  temporal.addService(service, { getSystemInfo: systemInfo, update, start: update, signal });
  const port = await new Promise<number>((resolve, reject) =>
    temporal.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  connection = Connection.lazy({
    address: `127.0.0.1:${port}`,
    interceptors: [notingRetries({ initialIntervalMs: () => 1 })],
  });
  client = new TemporalSandboxClient(connection, 'default');
});
afterEach(async () => {
  await connection.close();
  temporal.forceShutdown();
});

test('a request whose answer was lost is of unknown outcome, though its last attempt was refused for the load', async () => {
  answers = [status.UNAVAILABLE, status.RESOURCE_EXHAUSTED];
  await expect(client.pause('i1')).rejects.toMatchObject({ code: 'OutcomeUnknown' });
  expect(attempts).toBeGreaterThan(1);
});

test('so is a create', async () => {
  answers = [status.UNAVAILABLE, status.RESOURCE_EXHAUSTED];
  const spec = { id: 'i1', hostId: 'h', tenant: 't', templateId: 'base' } as never;
  await expect(client.create(spec)).rejects.toMatchObject({ code: 'OutcomeUnknown' });
});

test('a request that was refused for the load from the first attempt to the last has certainly done nothing', async () => {
  answers = [status.RESOURCE_EXHAUSTED];
  await expect(client.pause('i1')).rejects.toMatchObject({ code: 'TooManyRequests' });
});

test('a request that a workflow has no room for is repeated', async () => {
  answers = [status.FAILED_PRECONDITION, status.FAILED_PRECONDITION, status.INVALID_ARGUMENT];
  await expect(client.pause('i1')).rejects.toMatchObject({ code: 'OutcomeUnknown' });
  expect(attempts).toBe(3);
});

test('a kill that a workflow never has room for is sent as a signal, and not called done', async () => {
  answers = [status.FAILED_PRECONDITION];
  const hasty = new TemporalSandboxClient(connection, 'default', 1_000);
  await expect(hasty.kill('i1')).rejects.toMatchObject({
    code: expect.stringMatching(/^(Unavailable|OutcomeUnknown)$/),
  });
  expect(signals).toBe(1);
}, 30_000);
