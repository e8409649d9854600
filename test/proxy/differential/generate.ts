import { Dice } from './dice.js';

/** One request of a client, as it is meant by whoever sends it. */
export interface Sent {
  /** In its path, its headers and its body, and in no other request. */
  mark: string;
  method: string;
  path: string;
  /** Undefined: whichever the gateway writes. */
  host: string | undefined;
  body: string;
  /** `either`: where it is passed on, it is passed on like this. `cut`: it never comes whole. */
  verdict: 'passes' | 'refused' | 'either' | 'cut';
  /** A WebSocket: after its head, bytes go both ways. */
  upgrade?: boolean;
}

/** What one client writes on one connection. */
export interface Case {
  class: Class | 'probe';
  name: string;
  /** Which of the two sandboxes it is for. */
  sandbox: 0 | 1;
  /** Written one after the other, as Latin-1. */
  pieces: string[];
  requests: Sent[];
  /** What the client does then. `half`: it ends its side if no answer comes. */
  end: 'waits' | 'half' | 'gone';
}

/** A port of a sandbox, as a client asks for it. */
export interface Target {
  host: string;
  /** The access token, which the agent's port takes nothing without. */
  token?: string;
}

/** Those of each sandbox. */
export type Targets = [Target[], Target[]];

export const CLASSES = [
  'header counts',
  'lengths',
  'chunks',
  'trailers',
  'folded headers',
  'bare CR and LF',
  'absolute form',
  'Connection',
  'pipelining',
  'Expect',
  'upgrades',
  'slow',
  'truncated',
] as const;
export type Class = (typeof CLASSES)[number];

/** As many cases of each class. The same seed gives the same cases. */
export function generate(seed: number, ofEach: number, targets: Targets, classes: readonly Class[] = CLASSES): Case[] {
  const dice = new Dice(seed);
  const cases: Case[] = [];
  for (let round = 0; round < ofEach; round++) {
    for (const name of dice.shuffled(classes)) cases.push(new Maker(dice, cases.length, name, targets).make());
  }
  return cases;
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'HEAD'];
/** Around every limit: of the proxy, of the gateway, and of what Node shows of a head by default. */
const COUNTS = [
  ...[0, 1, 100, 190, 195, 196, 197, 198, 199, 200, 201, 216, 220, 222, 300],
  ...[990, 999, 1000, 1001, 1019, 1020, 1021, 1022, 1023, 1050, 1100, 1100, 1100],
];

const line = (text: string): string => `${text}\r\n`;
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

class Maker {
  readonly #sandbox: 0 | 1;
  readonly #host: string;
  readonly #token: string[];
  readonly #others: string;
  #requests = 0;

  constructor(
    readonly dice: Dice,
    readonly number: number,
    readonly name: Class,
    targets: Targets,
  ) {
    this.#sandbox = dice.below(2) === 0 ? 0 : 1;
    const { host, token } = dice.of(targets[this.#sandbox]);
    this.#host = host;
    this.#token = token === undefined ? [] : [`X-Access-Token: ${token}`];
    this.#others = dice.of(targets[this.#sandbox === 0 ? 1 : 0]).host;
  }

  make(): Case {
    switch (this.name) {
      case 'header counts':
        return this.#headerCounts();
      case 'lengths':
        return this.#lengths();
      case 'chunks':
        return this.#chunks();
      case 'trailers':
        return this.#trailers();
      case 'folded headers':
        return this.#folded();
      case 'bare CR and LF':
        return this.#bare();
      case 'absolute form':
        return this.#absolute();
      case 'Connection':
        return this.#connection();
      case 'pipelining':
        return this.#pipelining();
      case 'Expect':
        return this.#expect();
      case 'upgrades':
        return this.#upgrades();
      case 'slow':
        return this.#slow();
      case 'truncated':
        return this.#truncated();
    }
  }

  /** A request whose body would be one of its own, if anybody took it for that. */
  #sent(change: Partial<Sent> = {}): Sent {
    const mark = `q${this.number}r${this.#requests++}z`;
    const method = this.dice.of(METHODS);
    const path = this.dice.of([`/${mark}`, `/${mark}?a=b`, `/files?path=${mark}`]);
    const inner = this.#smuggled(mark);
    const body = this.dice.of([inner, inner, `${inner}\r\n\r\n`, `body of ${mark}`]);
    return { mark, method, path, host: this.#host, body, verdict: 'passes', ...change };
  }

  #smuggled(mark: string): string {
    return `${this.dice.of(['GET', 'POST'])} /smuggled-${mark} HTTP/1.1\r\nHost: ${this.#others}\r\nX-Swallow-${mark}: `;
  }

  #head(sent: Sent, headers: string[], target = sent.path, version = 'HTTP/1.1'): string {
    const lines = [
      `${sent.method} ${target} ${version}`,
      `Host: ${this.#host}`,
      `X-Mark: ${sent.mark}`,
      ...this.#token,
      ...headers,
    ];
    return `${lines.map(line).join('')}\r\n`;
  }

  #case(name: string, pieces: string[], requests: Sent[], atLast: Case['end'] = 'waits'): Case {
    // Who ends his side takes back what is under way: nobody may do that to a request that has to arrive.
    const end = atLast === 'half' && requests.every(({ verdict }) => verdict === 'passes') ? 'waits' : atLast;
    return { class: this.name, name, sandbox: this.#sandbox, pieces, requests, end };
  }

  /** Head and body with one of the two ways to frame it. */
  #whole(sent: Sent, headers: string[] = [], target?: string): string {
    const { body } = sent;
    if (this.dice.below(2) === 0) {
      return this.#head(sent, [...headers, `Content-Length: ${body.length}`], target) + body;
    }
    const at = this.dice.below(body.length - 1) + 1;
    const chunks = chunk(body.slice(0, at)) + chunk(body.slice(at));
    return `${this.#head(sent, [...headers, 'Transfer-Encoding: chunked'], target)}${chunks}0\r\n\r\n`;
  }

  #headerCounts(): Case {
    const count = this.dice.of(COUNTS);
    // Host, the mark and the length come on top. Near the limit it is the service's to say where exactly it is.
    const all = count + 3 + this.#token.length;
    const verdict = all <= 190 ? 'passes' : all > 220 ? 'refused' : 'either';
    const sent = this.#sent({ verdict });
    const filler = this.dice.of(['te: 1', 'te: 1', 'te: 1', 'a: 1', 'x-a:', 'te:']);
    const fillers = Array<string>(count).fill(filler);
    const hidden = this.dice.below(4) > 0;
    const [length, body] = this.dice.of([
      ['Transfer-Encoding: chunked', `${chunk(sent.body)}0\r\n\r\n`],
      [`Content-Length: ${sent.body.length}`, sent.body],
    ]);
    const headers = hidden ? [...fillers, length!] : [length!, ...fillers];
    return this.#case(`${all} headers "${filler}"`, [this.#head(sent, headers) + body!], [sent], 'half');
  }

  #lengths(): Case {
    const sent = this.#sent();
    const n = sent.body.length;
    const chunked = `${chunk(sent.body)}0\r\n\r\n`;
    const te = 'Transfer-Encoding: chunked';
    const [headers, body, verdict] = this.dice.of<[string[], string, Sent['verdict']]>([
      [[`Content-Length: ${n}`, `Content-Length: ${n}`], sent.body, 'either'],
      [[`Content-Length: ${n}`, 'Content-Length: 0'], sent.body, 'refused'],
      [['Content-Length: 0', `Content-Length: ${n}`], sent.body, 'refused'],
      [[`Content-Length: ${n}, ${n}`], sent.body, 'refused'],
      [[`Content-Length: +${n}`], sent.body, 'refused'],
      [[`Content-Length: -${n}`], sent.body, 'refused'],
      [[`Content-Length: 0x${n.toString(16)}`], sent.body, 'refused'],
      [[`Content-Length: ${n}.0`], sent.body, 'refused'],
      [['Content-Length: '], sent.body, 'refused'],
      [['Content-Length: 99999999999999999999'], sent.body, 'refused'],
      [[`Content-Length: 000${n}`], sent.body, 'either'],
      [[`Content-Length:\t${n} `], sent.body, 'either'],
      [[`Content-Length : ${n}`], sent.body, 'either'],
      [[`CONTENT-LENGTH: ${n}`], sent.body, 'passes'],
      [[`Content_Length: ${n}`, `content-length: ${n}`], sent.body, 'passes'],
      [[`Content-Length: ${n}`, te], chunked, 'refused'],
      [[te, `Content-Length: ${chunked.length}`], chunked, 'refused'],
      [[te, 'Content-Length: 4'], chunked, 'refused'],
      [[te, te], chunked, 'either'],
      [['Transfer-Encoding: chunked, chunked'], chunked, 'either'],
      [['Transfer-Encoding: chunked, identity'], chunked, 'refused'],
      [['Transfer-Encoding: xchunked'], chunked, 'refused'],
      [['Transfer-Encoding: identity', `Content-Length: ${n}`], sent.body, 'either'],
      [['Transfer-Encoding : chunked'], chunked, 'either'],
      [['Transfer-Encoding:\tchunked '], chunked, 'either'],
      [['Transfer-Encoding: CHUNKED'], chunked, 'either'],
      [['Transfer-Encoding: gzip, chunked'], chunked, 'either'],
      [['Transfer_Encoding: chunked', `Content-Length: ${n}`], sent.body, 'passes'],
    ]);
    return this.#case(headers.join(' | '), [this.#head(sent, headers) + body], [{ ...sent, verdict }], 'half');
  }

  #chunks(): Case {
    const sent = this.#sent();
    const { body } = sent;
    const size = body.length.toString(16);
    const fine = chunk(body);
    const [name, chunks, verdict] = this.dice.of<[string, string, Sent['verdict']]>([
      ['plain', `${fine}0\r\n\r\n`, 'passes'],
      ['an extension', `${size};a=b\r\n${body}\r\n0\r\n\r\n`, 'passes'],
      ['a quoted extension', `${size};a="b;c"\r\n${body}\r\n0;last\r\n\r\n`, 'passes'],
      ['an extension without a name', `${size};\r\n${body}\r\n0\r\n\r\n`, 'either'],
      ['a long extension', `${size};${'a'.repeat(20_000)}\r\n${body}\r\n0\r\n\r\n`, 'either'],
      ['a line feed in an extension', `${size};a\n${body}\r\n0\r\n\r\n`, 'either'],
      ['a carriage return in an extension', `${size};a\rb\r\n${body}\r\n0\r\n\r\n`, 'either'],
      ['leading zeros', `0000${size}\r\n${body}\r\n000\r\n\r\n`, 'passes'],
      ['a size with 0x', `0x${size}\r\n${body}\r\n0\r\n\r\n`, 'either'],
      ['a size with a sign', `+${size}\r\n${body}\r\n0\r\n\r\n`, 'either'],
      ['a size with a space', `${size} \r\n${body}\r\n0\r\n\r\n`, 'either'],
      ['a size that overflows', `1000000000000000${size}\r\n${body}\r\n0\r\n\r\n`, 'either'],
      ['no size', `\r\n${body}\r\n0\r\n\r\n`, 'either'],
      ['too short a size', `1\r\n${body}\r\n0\r\n\r\n`, 'either'],
      ['too long a size', `${(body.length + 7).toString(16)}\r\n${body}\r\n0\r\n\r\n`, 'either'],
      ['line feeds alone', `${size}\n${body}\n0\n\n`, 'either'],
      ['no line end behind the data', `${size}\r\n${body}0\r\n\r\n`, 'either'],
      ['many small chunks', `${[...body].map(chunk).join('')}0\r\n\r\n`, 'passes'],
    ]);
    const head = this.#head(sent, ['Transfer-Encoding: chunked']);
    // Where the sizes are not those of the body, what is passed on before the fault is some part of it.
    return this.#case(name, [head + chunks], [{ ...sent, verdict }], 'half');
  }

  #trailers(): Case {
    const sent = this.#sent();
    const [name, trailers, verdict] = this.dice.of<[string, string, Sent['verdict']]>([
      ['one', 'X-T: a\r\n', 'passes'],
      ['a length', 'Content-Length: 5\r\n', 'either'],
      ['a coding', 'Transfer-Encoding: chunked\r\n', 'either'],
      ['a host', `Host: ${this.#others}\r\n`, 'either'],
      ['routing', 'X-Dormouse-Sandbox: theirs\r\nE2b-Sandbox-Id: theirs\r\n', 'either'],
      ['many', 'a: 1\r\n'.repeat(1_100), 'either'],
      ['large', `X-T: ${'a'.repeat(20_000)}\r\n`, 'either'],
      ['folded', 'X-T: a\r\n b\r\n', 'either'],
      ['no colon', 'nothing\r\n', 'either'],
      ['Connection', 'Connection: close\r\nUpgrade: websocket\r\n', 'either'],
    ]);
    const announced = this.dice.below(2) === 0 ? ['Trailer: X-T'] : [];
    const head = this.#head(sent, ['Transfer-Encoding: chunked', ...announced]);
    return this.#case(name, [`${head}${chunk(sent.body)}0\r\n${trailers}\r\n`], [{ ...sent, verdict }], 'half');
  }

  #folded(): Case {
    const sent = this.#sent({ verdict: 'either' });
    const n = sent.body.length;
    const headers = this.dice.of([
      ['X-A: a\r\n b', `Content-Length: ${n}`],
      ['X-A: a\r\n\tTransfer-Encoding: chunked', `Content-Length: ${n}`],
      [`Content-Length:\r\n ${n}`],
      [`Content-Length: ${n}\r\n 0`],
      [`X-A:\r\n Content-Length: 0`, `Content-Length: ${n}`],
      [' X-A: a', `Content-Length: ${n}`],
      ['Transfer-Encoding:\r\n chunked', `Content-Length: ${n}`],
      ['Connection: close,\r\n content-length', `Content-Length: ${n}`],
    ]);
    return this.#case(headers.join(' | '), [this.#head(sent, headers) + sent.body], [sent], 'half');
  }

  #bare(): Case {
    const sent = this.#sent({ verdict: 'either' });
    const n = `Content-Length: ${sent.body.length}`;
    const head = this.#head(sent, [n]);
    const [name, text] = this.dice.of<[string, string]>([
      ['line feeds alone', head.replaceAll('\r\n', '\n')],
      ['one line feed alone', head.replace('\r\nX-Mark', '\nX-Mark')],
      ['carriage returns alone', head.replaceAll('\r\n', '\r')],
      ['a line feed in a value', this.#head(sent, ['X-A: a\nTransfer-Encoding: chunked', n])],
      ['a carriage return in a value', this.#head(sent, ['X-A: a\rTransfer-Encoding: chunked', n])],
      ['a carriage return in a name', this.#head(sent, ['X\r-A: a', n])],
      ['a zero in a value', this.#head(sent, ['X-A: a\0b', n])],
      ['a zero in a name', this.#head(sent, ['X-\0A: a', n])],
      ['an empty line before', `\r\n\r\n${head}`],
      ['a line feed before', `\n${head}`],
      ['two carriage returns', head.replace('\r\nX-Mark', '\r\r\nX-Mark')],
      ['an end of line feeds alone', head.replace(/\r\n\r\n$/, '\n\n')],
      ['an end of a line feed and a carriage return', head.replace(/\r\n\r\n$/, '\r\n\r')],
      ['a line feed in the target', this.#head(sent, [n], `${sent.path}\nX: y`)],
      ['a space in the target', this.#head(sent, [n], `${sent.path} HTTP/1.1`)],
    ]);
    return this.#case(name, [text + sent.body], [sent], 'half');
  }

  #absolute(): Case {
    const sent = this.#sent();
    const { path } = sent;
    const [target, verdict] = this.dice.of<[string, Sent['verdict']]>([
      [`http://${this.#host}${path}`, 'passes'],
      [`http://${this.#others}${path}`, 'passes'],
      [`https://else.where:99${path}`, 'passes'],
      [`HTTP://USER:PASS@${this.#others}${path}`, 'passes'],
      [`http://${this.#others}:0${path}`, 'either'],
      [`ftp://${this.#others}${path}`, 'either'],
      [`http:${path}`, 'either'],
      [`http:///${this.#others}${path}`, 'either'],
      [`//${this.#others}${path}`, 'either'],
      [`/\\${this.#others}${path}`, 'either'],
      [`${this.#others}:80`, 'either'],
      [path.slice(1), 'either'],
      ['*', 'either'],
      [`${path}#fragment`, 'either'],
      [`/./..${path}`, 'either'],
    ]);
    const asked = { ...sent, verdict, path: verdict === 'passes' ? path : '' };
    return this.#case(target, [this.#whole(sent, [], target)], [asked], 'half');
  }

  #connection(): Case {
    const sent = this.#sent();
    const named = this.dice.of([
      ...Array<string>(4).fill('content-length'),
      ...['Content-Length', 'transfer-encoding', 'host', 'HOST', 'x-dormouse-sandbox', 'upgrade'],
      ...['x-dormouse-gateway-token', 'e2b-sandbox-id', 'close', 'keep-alive', 'te', 'expect', 'connection', 'x-other'],
    ]);
    const value = this.dice.of([
      named,
      `close, ${named}`,
      `keep-alive,${named}`,
      `,, ${named} ,`,
      `${named};q=1`,
      `"${named}"`,
    ]);
    const headers = this.dice.of([
      [`Connection: ${value}`],
      [`connection: ${value}`, 'Connection: keep-alive'],
      [`Proxy-Connection: ${value}`],
      [`Connection: ${value}`, 'Keep-Alive: timeout=1, max=1', 'X-Other: 1'],
      [`Connection: ${value}`, 'X-Dormouse-Sandbox: theirs', 'X-Dormouse-Port: 1'],
    ]);
    return this.#case(headers.join(' | '), [this.#whole(sent, headers)], [sent], 'half');
  }

  #pipelining(): Case {
    const many = this.dice.below(5) + 2;
    const requests = Array.from({ length: many }, () => this.#sent());
    const texts = requests.map((sent) => this.#whole(sent));
    const last = this.dice.below(4);
    if (last === 0)
      return this.#case('a fault at the end', [`${texts.join('')}BROKEN\r\n\r\n`], weak(requests), 'half');
    if (last === 1) return this.#case('the client goes', [texts.join('')], weak(requests), 'gone');
    return this.#case(`${many} at once`, [texts.join('')], requests);
  }

  #expect(): Case {
    const sent = this.#sent();
    const [headers, verdict] = this.dice.of<[string[], Sent['verdict']]>([
      [['Expect: 100-continue'], 'passes'],
      [['expect: 100-Continue'], 'passes'],
      [['Expect: 100-continue', 'Expect: 100-continue'], 'either'],
      [['Expect: 100-continue, other'], 'either'],
      [['Expect: 200-ok'], 'either'],
      [['Expect: '], 'either'],
      [['Expect: 100-continue', 'Connection: expect'], 'passes'],
      [['Expect: 100-continue', 'X-Dormouse-Credit: 5'], 'passes'],
    ]);
    const text = this.#whole(sent, headers);
    const at = text.indexOf('\r\n\r\n') + 4;
    const pieces = this.dice.below(2) === 0 ? [text] : [text.slice(0, at), text.slice(at)];
    return this.#case(headers.join(' | '), pieces, [{ ...sent, verdict }], 'half');
  }

  #upgrades(): Case {
    const protocol = this.dice.of(['h2c', 'websocket', 'WebSocket', 'TLS/1.0', 'websocket, h2c', 'x', '']);
    const connection = this.dice.of([
      'Connection: Upgrade',
      'Connection: keep-alive, Upgrade, HTTP2-Settings',
      'X-A: b',
    ]);
    const headers = [connection, `Upgrade: ${protocol}`, 'HTTP2-Settings: AAMAAABkAAQAAP__'];
    const name = headers.join(' | ');
    if (this.dice.below(3) > 0) {
      const sent = this.#sent();
      // What comes right behind a body with an offer that was declined is lost, and the client is told by the end.
      return this.#case(`${name}, with a body`, [this.#whole(sent, headers)], [sent], 'half');
    }
    const switches = protocol.toLowerCase() === 'websocket' && connection !== 'X-A: b';
    const sent = this.#sent({ method: 'GET', body: '', upgrade: switches });
    const behind = switches && this.dice.below(2) === 0 ? `GET /in-the-socket-${sent.mark} HTTP/1.1\r\n\r\n` : '';
    return this.#case(name, [this.#head(sent, headers) + behind], [sent], 'half');
  }

  #slow(): Case {
    const sent = this.#sent();
    const text = this.#whole(sent);
    const pieces: string[] = [];
    for (let at = 0; at < text.length;) {
      const length = this.dice.below(40) + 1;
      pieces.push(text.slice(at, at + length));
      at += length;
    }
    return this.#case(`in ${pieces.length} pieces`, pieces, [sent]);
  }

  #truncated(): Case {
    const sent = this.#sent({ verdict: 'cut' });
    const text = this.#whole(sent);
    const at = this.dice.below(text.length - 5) + 1;
    const end = this.dice.of(['half', 'gone'] as const);
    return this.#case(`after ${at} of ${text.length} bytes, then ${end}`, [text.slice(0, at)], [sent], end);
  }
}

const weak = (requests: Sent[]): Sent[] => requests.map((sent) => ({ ...sent, verdict: 'either' }));
