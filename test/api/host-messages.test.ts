import type { NextFunction, Request, Response } from 'express';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { ERRORS, type ErrorCode } from '../../workflows/errors.js';
import { ApiError, errorHandler } from '../../src/api/errors.js';
import { DormouseError } from '../../src/temporal/dormouse-error.js';

/** @returns the message that a client gets. */
function told(error: Error): string {
  let said = '';
  const response = {
    headersSent: false,
    set: () => response,
    status: () => response,
    json: (body: { message: string }) => (said = body.message),
  };
  const next: NextFunction = () => undefined;
  const request = { method: 'POST', path: '/' } as Request;
  void errorHandler(pino({ level: 'silent' }))(error, request, response as unknown as Response, next);
  return said;
}

const OF_THE_HOST: ErrorCode[] = [
  ...(['InsufficientCapacity', 'ImageDamaged', 'ImageIncompatible', 'PauseFailed', 'ResumeFailed'] as const),
  ...(['CreateFailed', 'Lost', 'HostFailure', 'OutcomeUnknown'] as const),
];

test.each(OF_THE_HOST)('a %s of a host tells its tenant neither paths nor figures of the host', (code) => {
  const message = told(new DormouseError(code, 'Cannot open /srv/state/x.ram on host h1: 77 MiB free'));
  expect(message).not.toMatch(/srv|h1|77/);
  expect(message.length).toBeGreaterThan(40);
});

test('the api says its own words as they are', () => {
  expect(told(new ApiError('InsufficientCapacity', 'not enough memory: 512 MiB'))).toBe('not enough memory: 512 MiB');
});

test('every code that a host gives for a fault of its own has words for tenants', () => {
  const faults = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => ERRORS[code].status === 500);
  expect(faults.filter((code) => !('says' in ERRORS[code]))).toEqual([]);
});
