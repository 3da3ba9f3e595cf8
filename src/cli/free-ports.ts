// Whether a coordinator could listen where it was told to: found out before its run is made, so that none is left behind.
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { httpFailed } from '../metrics/http.js';
import { bindFailed } from '../transport/router.js';
import { tcpHostAndPort } from '../util/tcp-url.js';

/** Throws UserError as binding itself would. Port 0 and * are any that is free. */
export async function expectFreePorts(
  bind: string,
  http: { readonly host: string; readonly port: number } | null,
): Promise<void> {
  const { host, port } = tcpHostAndPort(bind);
  const wanted = port === '*' ? null : await listen(host === '*' ? '0.0.0.0' : host, Number(port));
  if (wanted && 'refusal' in wanted) throw bindFailed(bind, wanted.refusal);
  try {
    // While the first is held: both may be the same.
    const httpWanted = http && (await listen(http.host, http.port));
    if (http && httpWanted && 'refusal' in httpWanted)
      throw httpFailed(http.host, http.port, httpWanted.refusal);
    await close(httpWanted);
  } finally {
    await close(wanted);
  }
}

type Listening = { readonly server: Server } | { readonly refusal: NodeJS.ErrnoException };

/** null when only ZeroMQ knows: it takes names of interfaces, too. */
async function listen(host: string, port: number): Promise<Listening | null> {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
    return { server };
  } catch (error) {
    const refusal = error as NodeJS.ErrnoException;
    return refusal.syscall === 'listen' ? { refusal } : null;
  }
}

async function close(listening: Listening | null): Promise<void> {
  if (!listening || !('server' in listening)) return;
  listening.server.close();
  await once(listening.server, 'close');
}
