// Who may connect, asked by ZeroMQ itself before a peer's first message is delivered (ZAP, ZeroMQ's RFC 27). There
// is one gate for all sockets of a process, in whatever thread; each coordinator has a domain of its own at it.
import { setTimeout } from 'node:timers/promises';
import { Reply } from 'zeromq';
import type { PublicKey } from './keys.js';

/** The address that the RFC gives it. */
const ADDRESS = 'inproc://zeromq.zap.01';
const VERSION = '1.0';
const PATIENCE_MS = 5000;

/** Whether the owner of a key may connect. */
type Allows = (key: PublicKey) => boolean;

const domains = new Map<string, Allows>();
let gate: Promise<Reply> | undefined;

/** From now on, connections to sockets of this domain are decided by `allows`. Returns how to end that. */
export async function openGate(domain: string, allows: Allows): Promise<() => void> {
  domains.set(domain, allows);
  const close = (): void => {
    if (!domains.delete(domain) || domains.size > 0) return;
    gate?.then((socket) => socket.close()).catch(() => undefined); // who opened it was told
    gate = undefined;
  };
  try {
    await (gate ??= start());
  } catch (error) {
    close();
    throw error;
  }
  return close;
}

/** A closed gate keeps the address until ZeroMQ's own thread comes to it; unbinding is not safe while somebody asks. */
async function start(): Promise<Reply> {
  for (const startedAt = performance.now(); ;) {
    const socket = new Reply({ linger: 0 });
    try {
      socket.bindSync(ADDRESS);
      void serve(socket);
      return socket;
    } catch (error) {
      socket.close();
      const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!isTaken || performance.now() - startedAt > PATIENCE_MS) throw error;
      await setTimeout(1);
    }
  }
}

async function serve(socket: Reply): Promise<void> {
  try {
    for await (const request of socket) await socket.send(answer(request));
  } catch (error) {
    if (!socket.closed) throw error;
  }
}

/** Request: version, id, domain, address, routing id, mechanism, credentials (of CURVE: the public key). */
function answer([version, id, domain, , , mechanism, key]: Buffer[]): (string | Buffer)[] {
  const allows = domains.get(String(domain));
  const isAllowed = String(version) === VERSION && String(mechanism) === 'CURVE' && key && allows?.(key);
  return [VERSION, id ?? '', ...(isAllowed ? ['200', 'OK'] : ['400', 'not on the allow-list']), '', ''];
}
