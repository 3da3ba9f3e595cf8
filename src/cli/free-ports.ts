// Whether a coordinator could listen where it was told to: found out before its run is made, so that none is left behind.
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { httpFailed } from '../metrics/http.js';
import { bindFailed } from '../transport/router.js';
import { UserError } from '../util/errors.js';
import { counted } from '../util/format.js';
import { tcpHostAndPort } from '../util/tcp-url.js';

const LAST_PORT = 65_535;

/**
 * Throws UserError as binding itself would. Port 0 and * are any that is free.
 * @param workers how many serve their metrics, too, at the ports after `http`
 */
export async function expectFreePorts(
  bind: string,
  http: { readonly host: string; readonly port: number } | null,
  workers: number,
): Promise<void> {
  const { host, port } = tcpHostAndPort(bind);
  const wanted = port === '*' ? null : await listen(host === '*' ? '0.0.0.0' : host, Number(port));
  if (wanted && 'refusal' in wanted) throw bindFailed(bind, wanted.refusal);
  try {
    // While the first is held: both may be the same.
    for (let i = 0; http && i <= (http.port === 0 ? 0 : workers); i++) {
      const port = http.port + i;
      if (port > LAST_PORT) throw new UserError('PORT_RANGE', beyond(http.port, workers));
      const httpWanted = await listen(http.host, port);
      if (httpWanted && 'refusal' in httpWanted) throw httpFailed(http.host, port, httpWanted.refusal);
      await close(httpWanted);
    }
  } finally {
    await close(wanted);
  }
}

function beyond(port: number, workers: number): string {
  return `${counted(workers, 'local worker')} would serve metrics at the port after ${port} and on, and there is none beyond ${LAST_PORT}: choose a lower one (--http)`;
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
