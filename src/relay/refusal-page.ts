import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Refusal } from './refuse.js';

/** Whether a person's browser goes to this address. Clients that read JSON accept anything, or JSON; scripts say so. */
export function wantsPage({ method, headers }: Pick<IncomingMessage, 'method' | 'headers'>): boolean {
  if (method !== 'GET' || !/(^|,)\s*text\/html\b/i.test(headers.accept ?? '')) return false;
  const mode = headers['sec-fetch-mode'];
  return mode === undefined || mode === 'navigate';
}

export function refusalPage({ status, body }: Refusal): string {
  const { message, sandboxId } = body;
  const title = escape(`${status} ${STATUS_CODES[status] ?? ''}`);
  const which =
    typeof sandboxId === 'string' && sandboxId !== '' ? `<p>Sandbox <code>${escape(sandboxId)}</code></p>` : '';
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:36em;padding:0 1em}code{font-size:.95em}</style>
<h1>${title}</h1>
<p>${escape(message)}</p>
${which}
</html>
`;
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
