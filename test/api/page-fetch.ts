/** Header names that a page may send to another origin without asking first, and read without being told that it may. */
const FREELY_SENT = new Set(['accept', 'accept-language', 'content-language']);
const FREELY_READ = new Set(['cache-control', 'content-language', 'content-length', 'content-type', 'expires']);
const FREE_TYPES = ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain'];
const FREE_METHODS = new Set(['GET', 'HEAD', 'POST']);

const ORIGIN = 'https://page.test';

/**
 * The `fetch` of a page at another origin, which sends no credentials: asks first where a browser does, and shows the page
 * nothing that the answer does not open to it.
 */
export function pageFetch(fetchNow: typeof fetch): typeof fetch {
  return async (input, init) => {
    const request = new Request(input as Request, init);
    const named = [...request.headers.keys()].filter((name) => !isFree(name, request.headers.get(name) ?? ''));
    if (named.length > 0 || !FREE_METHODS.has(request.method)) await askFirst(fetchNow, request, named.sort());
    const headers = new Headers(request.headers);
    headers.set('origin', ORIGIN);
    const answer = await fetchNow(new Request(request, { headers }));
    requireOpen(request, answer);
    const exposed = (answer.headers.get('access-control-expose-headers') ?? '').split(/\s*,\s*/);
    const shown = [...answer.headers].filter(
      ([name]) => FREELY_READ.has(name) || exposed.includes('*') || exposed.includes(name),
    );
    const { status, statusText } = answer;
    return new Response([204, 304].includes(status) ? null : answer.body, { status, statusText, headers: shown });
  };
}

const isFree = (name: string, value: string): boolean =>
  FREELY_SENT.has(name) || (name === 'content-type' && FREE_TYPES.includes(value.split(';')[0]!.trim()));

async function askFirst(fetchNow: typeof fetch, request: Request, named: string[]): Promise<void> {
  const headers = {
    ...{ origin: ORIGIN, 'access-control-request-method': request.method },
    ...(named.length === 0 ? {} : { 'access-control-request-headers': named.join(',') }),
  };
  const answer = await fetchNow(request.url, { method: 'OPTIONS', headers });
  requireOpen(request, answer);
  if (!answer.ok) throw new TypeError(`the preflight of ${request.method} ${request.url} got ${answer.status}`);
  const list = (name: string): string[] => (answer.headers.get(name) ?? '').toLowerCase().split(/\s*,\s*/);
  const methods = list('access-control-allow-methods');
  if (!FREE_METHODS.has(request.method) && !methods.includes('*') && !methods.includes(request.method.toLowerCase()))
    throw new TypeError(`the preflight does not allow ${request.method} ${request.url}`);
  const allowed = list('access-control-allow-headers');
  const refused = named.filter(
    (name) => !allowed.includes(name) && (name === 'authorization' || !allowed.includes('*')),
  );
  if (refused.length > 0) throw new TypeError(`the preflight of ${request.url} does not allow ${refused.join(', ')}`);
}

function requireOpen(request: Request, answer: Response): void {
  const open = answer.headers.get('access-control-allow-origin');
  if (open !== '*' && open !== ORIGIN) {
    throw new TypeError(`${request.method} ${request.url}: an answer ${answer.status} is not open to ${ORIGIN}`);
  }
}
