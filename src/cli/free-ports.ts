// Whether a coordinator could listen where it was told to: found out before its run is made, so that none is left behind.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { httpFailed } from '../metrics/http.js';
import { bindFailed } from '../transport/router.js';

/** Throws UserError as binding itself would. Port 0 and * are any that is free. */
export async function expectFreePorts(
  bind: string,
  http: { readonly host: string; readonly port: number } | null,
): Promise<void> {
  const [, host = '', port = '*'] = /^tcp:\/\/\[?(.*?)\]?:(\d+)$/.exec(bind) ?? [];
  const refusal = port === '*' ? null : await refusalOf(host === '*' ? '0.0.0.0' : host, Number(port));
  if (refusal) throw bindFailed(bind, refusal);
  const httpRefusal = http && (await refusalOf(http.host, http.port));
  if (httpRefusal) throw httpFailed(http.host, http.port, httpRefusal);
}

/** Why nobody can listen there; null when somebody can, or when only ZeroMQ knows: it takes names of interfaces, too. */
async function refusalOf(host: string, port: number): Promise<NodeJS.ErrnoException | null> {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    const refusal = error as NodeJS.ErrnoException;
    return refusal.syscall === 'listen' ? refusal : null;
  }
  server.close();
  await once(server, 'close');
  return null;
}
