import { generate, type Case, type Class, type Targets } from './generate.js';
import { judge } from './judge.js';
import { speak, type Heard } from './speak.js';

/** Clients at a time. */
const LANES = 8;
/** After as many, each sandbox gets a plain request. */
const BATCH = 26;
/** More say no more, and take long. */
const MOST_HUNG = 3;

/**
 * Sends generated requests for two sandboxes in turns, and plain ones after each batch.
 *
 * @param seen what the server of each sandbox was sent, by connection, when all is over
 * @returns how many requests there were, and what is wrong
 */
export async function differential(
  options: { seed: number; ofEach: number; classes?: Class[]; proxyPort: number; targets: Targets; hungMs?: number },
  seen: () => Promise<[string[], string[]]>,
): Promise<{ requests: number; cases: Case[]; wrong: string[] }> {
  const generated = generate(options.seed, options.ofEach, options.targets, options.classes);
  const cases: Case[] = [];
  const heard: Heard[] = [];
  const run = async (batch: Case[]): Promise<void> => {
    const queue = [...batch.entries()];
    const answers: Heard[] = [];
    const lane = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        answers[next[0]] = await speak(options.proxyPort, next[1], options.hungMs);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    cases.push(...batch);
    heard.push(...answers);
  };
  for (let at = 0; at < generated.length; at += BATCH) {
    if (heard.filter(({ hung }) => hung).length > MOST_HUNG) break;
    await run(generated.slice(at, at + BATCH));
    await run(probes(generated.length + at, options.targets));
  }
  const wrong = judge(cases, heard, await seen());
  return { requests: cases.reduce((sum, { requests }) => sum + requests.length, 0), cases, wrong };
}

/** Plain requests to every target: as many as there may be kept connections that something was left on. */
const probes = (number: number, targets: Targets): Case[] =>
  targets.flatMap((hosts, sandbox) =>
    hosts.map(({ host, token }, which): Case => {
      const mark = `q${number}r${sandbox}${which}z`;
      const text = `GET /${mark} HTTP/1.1\r\nHost: ${host}\r\nX-Mark: ${mark}\r\n${token === undefined ? '' : `X-Access-Token: ${token}\r\n`}\r\n`;
      const sent = { mark, method: 'GET', path: `/${mark}`, host, body: '', verdict: 'passes' as const };
      return { class: 'probe', name: host, sandbox: sandbox as 0 | 1, pieces: [text], requests: [sent], end: 'waits' };
    }),
  );
