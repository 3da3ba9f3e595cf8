// Whether the coordinator's host has a name that is known here: ZeroMQ would go on asking for it and never say so.
import { lookup } from 'node:dns/promises';
import { tcpHostAndPort } from '../util/tcp-url.js';

/** Why the host of tcp://HOST:PORT cannot be found, in a sentence; null when it can. */
export async function hostFault(url: string): Promise<string | null> {
  const { host } = tcpHostAndPort(url);
  try {
    await lookup(host, { family: 4 }); // ZeroMQ asks for no other unless it is told to
    return null;
  } catch (error) {
    return `the host ${host} is not known here (${(error as NodeJS.ErrnoException).code})`;
  }
}
