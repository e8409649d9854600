import type { IncomingMessage, ServerResponse } from 'node:http';

/** How many units of a body may be on their way. */
const UNITS_AHEAD = 4;

/** Size in bytes of the units in which the gateway wants to be asked for a body; undefined: all of it may come. */
export const creditUnit = (request: IncomingMessage): number | undefined => {
  const unit = Number(request.headers['x-dormouse-credit']);
  return Number.isSafeInteger(unit) && unit > 0 ? unit : undefined;
};

/**
 * Asks for the body of `request` as it is taken: each `102 Processing` is for one more unit. Call it when the body begins
 * to flow. What is sent and not taken would wait in the kernel of the guest, and the host's network gives a connection up
 * whose other end takes nothing for long (README, "An upload goes as the agent asks for it").
 */
export function askForBody(request: IncomingMessage, response: ServerResponse): void {
  const unit = creditUnit(request);
  if (unit === undefined) return;
  const ask = (): void => {
    // With its answer a request is over, whatever of it is still to come.
    if (!response.headersSent) response.writeProcessing();
  };
  for (let units = 0; units < UNITS_AHEAD; units += 1) ask();
  let taken = 0;
  request.on('data', (bytes: Buffer) => {
    for (taken += bytes.length; taken >= unit; taken -= unit) ask();
  });
}
