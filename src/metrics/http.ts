// The HTTP face of a process: /metrics for Prometheus, /healthz (it lives) and /readyz (it makes progress).

import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { UserError, messageOf } from '../util/errors.js';

/** null: all is well; otherwise a sentence that says what is not. */
export type Health = () => string | null;

export interface HttpOptions {
  /** 127.0.0.1 unless the user asks for more: what is served is not authenticated. */
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
  readonly registry: Registry;
  readonly alive: Health;
  readonly ready: Health;
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

async function handle(response: ServerResponse, options: HttpOptions): Promise<void> {
  const { method, url = '/' } = response.req;
  if (method !== 'GET' && method !== 'HEAD') return answer(response, 405, 'only GET and HEAD are served\n');
  switch (url.split('?')[0]) {
    case '/metrics':
      return answer(response, 200, await options.registry.metrics(), options.registry.contentType);
    case '/healthz':
      return answerHealth(response, options.alive);
    case '/readyz':
      return answerHealth(response, options.ready);
    default:
      return answer(response, 404, 'there are /metrics, /healthz and /readyz\n');
  }
}

/** Settles when `server` listens; throws UserError PORT_IN_USE or HTTP_BIND. */
function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const where = `${host}:${port}`;
      const userError =
        error.code === 'EADDRINUSE'
          ? new UserError(
              'PORT_IN_USE',
              `cannot serve metrics on ${where}: the port is in use; choose another, or 0`,
            )
          : new UserError('HTTP_BIND', `cannot serve metrics on ${where}: ${error.message}`);
      userError.cause = error;
      reject(userError);
    });
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
