/** Where a guest's agent is reached, and as whom. */
export interface AgentDoor {
  url: string;
  headers: Record<string, string>;
}

const END_OF_STREAM = 2;
const HEAD_BYTES = 5;

/**
 * Runs a command in a guest to its end, as the SDKs do: a stream of the agent's process service.
 * @returns what it wrote, and the seconds until that was there. @throws Error when it fails, with what it wrote.
 */
export async function runCommand(door: AgentDoor, command: string): Promise<{ seconds: number; output: string }> {
  const { url, ...more } = startCommand(door, command);
  const start = performance.now();
  const response = await fetch(url, { method: 'POST', ...more });
  const body = Buffer.from(await response.arrayBuffer());
  const seconds = (performance.now() - start) / 1000;
  if (!response.ok) throw new Error(`a command was refused: ${response.status} ${body.toString().slice(0, 300)}`);
  const { output, exit } = readStream(body);
  if (exit !== 0) throw new Error(`"${command.slice(0, 80)}" ended with ${exit}: ${output.slice(-300)}`);
  return { seconds, output };
}

/** The request whose answer is the stream of a command. */
export function startCommand(
  door: AgentDoor,
  command: string,
): { url: string; headers: Record<string, string>; body: Buffer } {
  const message = Buffer.from(
    JSON.stringify({ process: { cmd: '/bin/bash', args: ['-l', '-c', command] }, stdin: false }),
  );
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(message.length, 1);
  return {
    url: `${door.url}/process.Process/Start`,
    headers: { 'content-type': 'application/connect+json', 'connect-protocol-version': '1', ...door.headers },
    body: Buffer.concat([head, message]),
  };
}

/** @returns all output, and the exit code, or what stood in place of one. */
export function readStream(body: Buffer): { output: string; exit: number | string } {
  const parts: Buffer[] = [];
  let exit: number | string = 'no end';
  for (let at = 0; at + HEAD_BYTES <= body.length; at += HEAD_BYTES + body.readUInt32BE(at + 1)) {
    const text = body.subarray(at + HEAD_BYTES, at + HEAD_BYTES + body.readUInt32BE(at + 1)).toString();
    if ((body[at]! & END_OF_STREAM) !== 0) {
      const { error } = JSON.parse(text) as { error?: { message?: string } };
      if (error !== undefined) exit = error.message ?? 'an error';
      continue;
    }
    const { event } = JSON.parse(text) as {
      event: { data?: { stdout?: string; stderr?: string }; end?: { exitCode?: number; status?: string } };
    };
    for (const data of [event.data?.stdout, event.data?.stderr]) {
      if (data !== undefined) parts.push(Buffer.from(data, 'base64'));
    }
    if (event.end !== undefined) exit = event.end.exitCode ?? 0;
  }
  return { output: Buffer.concat(parts).toString(), exit };
}
