// Who may connect, asked by ZeroMQ itself before a peer's first message is delivered (ZAP, ZeroMQ's RFC 27). There
// is one gate for all sockets of a process, in whatever thread; each coordinator has a domain of its own at it.
import { Reply } from 'zeromq';
import type { PublicKey } from './keys.js';

/** The address that the RFC gives it. */
const ADDRESS = 'inproc://zeromq.zap.01';
const VERSION = '1.0';

/** Whether the owner of a key may connect. */
type Allows = (key: PublicKey) => boolean;

const domains = new Map<string, Allows>();
let gate: Reply | undefined;
let lastClosed = Promise.resolve();

/** From now on, connections to sockets of this domain are decided by `allows`. Returns how to end that. */
export async function openGate(domain: string, allows: Allows): Promise<() => Promise<void>> {
  domains.set(domain, allows);
  await lastClosed;
  gate ??= start();
  return async () => {
    domains.delete(domain);
    if (domains.size === 0) await (lastClosed = close());
  };
}

function start(): Reply {
  const socket = new Reply({ linger: 0 });
  socket.bindSync(ADDRESS);
  void serve(socket);
  return socket;
}

/** A closed socket keeps its address until ZeroMQ's own thread comes to it: it is given back before. */
async function close(): Promise<void> {
  const socket = gate;
  gate = undefined;
  await socket?.unbind(ADDRESS);
  socket?.close();
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
