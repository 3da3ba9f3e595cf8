// What the coordinator serves beside /metrics: the live page with its scripts, the view as JSON, and the feed. The page's
// files are served under the paths they have in the package, so that its modules import each other as they lie there.
import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Pages } from '../metrics/http.js';
import { packageRoot } from '../util/package.js';
import type { LiveFeed } from './feed.js';

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';

/** From the page itself only: no other host, nothing inline, no frames. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const { resolve } = createRequire(import.meta.url);

function ownFile(name: string): string {
  return path.join(packageRoot, 'page', name);
}

/** Modules that the page shares with Node. */
function sharedModule(name: string): [string, { file: string; type: string }] {
  return [`/src/${name}`, { file: path.join(packageRoot, 'dist', 'src', name), type: SCRIPT }];
}

function ownModule(name: string): [string, { file: string; type: string }] {
  return [`/page/${name}`, { file: ownFile(name), type: SCRIPT }];
}

const files = new Map<string, { file: string; type: string }>([
  ['/', { file: ownFile('index.html'), type: 'text/html; charset=utf-8' }],
  ['/page/page.css', { file: ownFile('page.css'), type: STYLE }],
  ['/page/icon.svg', { file: ownFile('icon.svg'), type: 'image/svg+xml' }],
  ...[
    'page.js',
    'connection.js',
    'charts.js',
    'figures.js',
    'workers.js',
    'events.js',
    'samples.js',
    'elements.js',
  ].map(ownModule),
  ...['live/run-view.js', 'live/series.js', 'live/describe.js', 'util/format.js'].map(sharedModule),
  ['/node_modules/uplot/dist/uPlot.esm.js', { file: resolve('uplot/dist/uPlot.esm.js'), type: SCRIPT }],
  ['/node_modules/uplot/dist/uPlot.min.css', { file: resolve('uplot/dist/uPlot.min.css'), type: STYLE }],
]);

export function livePages(feed: LiveFeed): Pages {
  return async (request, response, pathname) => {
    const file = files.get(pathname);
    if (file) await sendFile(response, file);
    else if (pathname === '/api/run')
      send(response, JSON.stringify(feed.view), 'application/json; charset=utf-8');
    else if (pathname === '/api/events') answerFeed(feed, request.headers['last-event-id'], response);
    else return false;
    return true;
  };
}

function answerFeed(
  feed: LiveFeed,
  lastEventId: string | string[] | undefined,
  response: ServerResponse,
): void {
  if (response.req.method === 'HEAD') send(response, '', 'text/event-stream; charset=utf-8');
  else feed.connect(response, [lastEventId].flat()[0]);
}

async function sendFile(
  response: ServerResponse,
  { file, type }: { file: string; type: string },
): Promise<void> {
  send(response, await readFile(file), type);
}

function send(response: ServerResponse, body: string | Buffer, type: string): void {
  response.writeHead(200, {
    'content-type': type,
    'content-security-policy': POLICY,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
