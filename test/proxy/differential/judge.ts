import type { Case, Sent } from './generate.js';
import { readMessage, valueOf } from './http-text.js';
import type { Heard } from './speak.js';

const MARK = /q\d+r\d+z/g;
const marksIn = (text: string): string[] => [...new Set(text.match(MARK) ?? [])];

interface Meant {
  one: Case;
  sent: Sent;
  whole: number;
  begun: number;
}

/**
 * Holds what each server saw against what each client sent.
 *
 * @param seen what the server of each sandbox was sent, by connection
 * @returns what is wrong; nothing when every request is where it belongs, as it was sent, and nowhere else
 */
export function judge(cases: readonly Case[], heard: readonly Heard[], seen: [string[], string[]]): string[] {
  const wrong: string[] = [];
  const meant = new Map<string, Meant>();
  for (const one of cases) for (const sent of one.requests) meant.set(sent.mark, { one, sent, whole: 0, begun: 0 });

  seen.forEach((connections, sandbox) => {
    for (const text of connections) wrong.push(...judgeConnection(text, sandbox, meant));
  });
  for (const { one, sent, whole, begun } of meant.values()) {
    const say = (what: string): void => void wrong.push(`${told(one)}: ${what}`);
    if (begun > 1) say(`${sent.mark} came ${begun} times`);
    if (sent.verdict === 'passes' && whole !== 1) say(`${sent.mark} did not come whole`);
    if (sent.verdict === 'refused' && begun > 0) say(`${sent.mark} came, though it is no valid request`);
    if (sent.verdict === 'cut' && whole > 0) say(`${sent.mark} came whole, though it was never sent so`);
  }
  cases.forEach((one, index) => {
    const { text, hung, answers } = heard[index]!;
    const own = one.requests.map(({ mark }) => mark);
    const foreign = marksIn(text).filter((mark) => !own.includes(mark));
    if (foreign.length > 0) wrong.push(`${told(one)}: it was answered what is for ${foreign.join(', ')}`);
    if (hung) wrong.push(`${told(one)}: hung after ${answers} answers; it heard ${JSON.stringify(text.slice(0, 300))}`);
    one.requests.forEach(({ mark, verdict }) => {
      if (verdict === 'passes' && !text.includes(`X-Saw: ${mark}`)) {
        wrong.push(`${told(one)}: no answer to ${mark}, but ${JSON.stringify(text.slice(0, 300))}`);
      }
    });
  });
  return wrong;
}

function judgeConnection(text: string, sandbox: number, meant: Map<string, Meant>): string[] {
  const marks = marksIn(text);
  // One that was dialled, and whose client was gone before anything was sent.
  if (text === '') return [];
  const shown = JSON.stringify(text.slice(0, 600));
  if (marks.length !== 1) return [`${mixture(marks, text, meant)}: ${shown}`];
  const entry = meant.get(marks[0]!);
  if (entry === undefined) return [`a connection with bytes of ${marks[0]}, which nobody sent: ${shown}`];
  const { one, sent } = entry;
  const wrong: string[] = [];
  const say = (what: string): void => void wrong.push(`${told(one)}: ${what}: ${shown}`);
  entry.begun += 1;
  if (one.sandbox !== sandbox) say('came to the other sandbox');
  const request = readMessage(text);
  if (request === undefined) return [...wrong, ...(sent.verdict === 'passes' ? [`${told(one)}: half a head`] : [])];
  if (request.fault !== undefined) say(request.fault);
  const [method, target, version] = request.start.split(' ');
  if (method !== sent.method || version !== 'HTTP/1.1') say('another request line');
  if (sent.path !== '' && target !== sent.path) say(`another target than ${sent.path}`);
  if (sent.path === '' && /smuggled/.test(target ?? '')) say('a body became a request');
  if (valueOf(request, 'x-mark') !== sent.mark) say('not with its own headers');
  if (sent.host !== undefined && valueOf(request, 'host') !== sent.host) say(`another host than ${sent.host}`);
  const ours = request.headers.filter(([name]) => name.startsWith('x-dormouse-'));
  if (ours.some(([name, value]) => name !== 'x-dormouse-credit' || value !== '65536')) say('headers of the service');
  if (!request.complete) {
    if (!sent.body.startsWith(request.body) && !one.pieces.join('').includes(request.body))
      say('a part of another body');
    return wrong;
  }
  entry.whole += 1;
  if (request.body !== sent.body) say('another body');
  if (request.rest !== '' && sent.upgrade !== true) say(`more behind its end: ${JSON.stringify(request.rest)}`);
  return wrong;
}

/** What came together that no one client sent. */
function mixture(marks: string[], text: string, meant: Map<string, Meant>): string {
  const request = readMessage(text);
  const owner = request === undefined ? undefined : valueOf(request, 'x-mark');
  const name = (mark: string): string => `${mark} (sandbox ${meant.get(mark)?.one.sandbox ?? 'unknown'})`;
  if (owner === undefined || !marks.includes(owner))
    return `a request with bytes of ${marks.map(name).join(' and ') || 'nobody'}`;
  const others = marks.filter((mark) => mark !== owner);
  return `bytes of ${others.map(name).join(' and ')} in a request of ${name(owner)}`;
}

const told = (one: Case): string => `[${one.class}] ${one.name}`;
