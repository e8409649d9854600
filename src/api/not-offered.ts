import type { RequestHandler, Router } from 'express';
import { sendError } from './errors.js';

/** Routes of the clients that this service does not have yet. Clients show the message, so it names the feature. */
const NOT_OFFERED: readonly (readonly [feature: string, method: Method, ...paths: string[]])[] = [
  ['volumes', 'all', '/volumes', '/volumes/*rest', '/volumecontent/*rest'],
  ['secrets', 'all', '/secrets', '/secrets/*rest'],
  ['identity tokens (IAM)', 'all', '/iam', '/iam/*rest'],
  ['snapshots', 'post', '/sandboxes/:id/snapshots'],
  ['snapshots', 'all', '/snapshots', '/snapshots/*rest'],
  ['fork', 'post', '/sandboxes/:id/fork'],
  ['changing the network of a sandbox', 'put', '/sandboxes/:id/network'],
  ['template builds', 'post', '/templates', '/v2/templates', '/v3/templates', '/templates/:id', '/v2/templates/:id'],
  ['template builds', 'all', '/templates/:id/builds/*rest', '/v2/templates/:id/builds/*rest'],
  ['template builds', 'get', '/templates/:id/files/:hash'],
  ['tags of templates', 'all', '/templates/tags', '/templates/:id/tags', '/templates/:id/tags/*rest'],
  ['changing a template', 'patch', '/templates/:id', '/v2/templates/:id'],
  ['deleting a template or a snapshot', 'delete', '/templates/:id'],
];

type Method = 'all' | 'get' | 'post' | 'put' | 'patch' | 'delete';

const refuse =
  (feature: string): RequestHandler =>
  (_request, response) =>
    sendError(response, 501, `${feature}: this service does not offer it yet`);

/** Answers 501 on them; comes after all that the service does have. */
export function refuseNotOffered(routes: Router): void {
  for (const [feature, method, ...paths] of NOT_OFFERED)
    for (const path of paths) routes[method](path, refuse(feature));
}
