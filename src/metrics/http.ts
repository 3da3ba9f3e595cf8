// The HTTP face of a process: /metrics for Prometheus, /healthz (it lives) and /readyz (it makes progress), and
// whatever pages the process has beside them.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { UserError, messageOf } from '../util/errors.js';

/** null: all is well; otherwise a sentence that says what is not. */
export type Health = () => string | null;

/** Answers a GET or HEAD if the path is one of its own, and says whether it is. */
export type Pages = (
  request: IncomingMessage,
  response: ServerResponse,
  pathname: string,
) => Promise<boolean>;

export interface HttpOptions {
  /** 127.0.0.1 unless the user asks for more: what is served is not authenticated. */
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
  readonly registry: Registry;
  readonly alive: Health;
  readonly ready: Health;
  readonly pages?: Pages;
}

export interface HttpServer {
  /** For example http://127.0.0.1:9464, without a trailing slash. */
  readonly url: string;
  /** Ends open connections, too, and settles when the port is free. */
  close(): Promise<void>;
}

function answer(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8') {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

function answerHealth(response: ServerResponse, health: Health): void {
  const problem = health();
  answer(response, problem === null ? 200 : 503, `${problem ?? 'ok'}\n`);
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/;

/**
 * Whether a browser was led here: what is bound to the loopback address is for this machine's users, and a page of some
 * other site whose name was pointed at it (DNS rebinding) must not read it.
 */
function isLedHere({ socket, headers }: IncomingMessage): boolean {
  const isLoopback = /^(::1|(::ffff:)?127\.)/.test(socket.localAddress ?? '');
  return isLoopback && headers.host !== undefined && !LOOPBACK.test(headers.host);
}

async function handle(response: ServerResponse, options: HttpOptions): Promise<void> {
  const { req: request } = response;
  const { method, url = '/' } = request;
  if (method !== 'GET' && method !== 'HEAD') return answer(response, 405, 'only GET and HEAD are served\n');
  if (isLedHere(request)) return answer(response, 421, `this is not ${request.headers.host}\n`);
  const pathname = url.split('?')[0]!;
  switch (pathname) {
    case '/metrics':
      return answer(response, 200, await options.registry.metrics(), options.registry.contentType);
    case '/healthz':
      return answerHealth(response, options.alive);
    case '/readyz':
      return answerHealth(response, options.ready);
    default:
      if (!(await options.pages?.(request, response, pathname)))
        answer(response, 404, `there are ${options.pages ? '/, ' : ''}/metrics, /healthz and /readyz\n`);
  }
}

export function httpFailed(host: string, port: number, error: NodeJS.ErrnoException): UserError {
  const [code, why] =
    error.code === 'EADDRINUSE'
      ? ['PORT_IN_USE', 'the port is in use; choose another, or 0 (--http)']
      : ['HTTP_BIND', error.message];
  return new UserError(code, `cannot serve metrics on ${host}:${port}: ${why}`, { cause: error });
}

/** Settles when `server` listens; throws UserError PORT_IN_USE or HTTP_BIND. */
function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(httpFailed(host, port, error)));
    server.listen(port, host, resolve);
  });
}

/** Starts serving. Throws UserError PORT_IN_USE, or HTTP_BIND when the address cannot be bound for another reason. */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const host = options.host ?? '127.0.0.1';
  const server = createServer((_request, response) => {
    handle(response, options).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else answer(response, 500, `${messageOf(error)}\n`);
    });
  });
  await listen(server, host, options.port);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}
