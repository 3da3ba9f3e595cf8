// Whether the coordinator's host has a name that is known here: ZeroMQ would go on asking for it and never say so.
import { lookup } from 'node:dns/promises';

/** Why the host of tcp://HOST:PORT cannot be found, in a sentence; null when it can. */
export async function hostFault(url: string): Promise<string | null> {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  try {
    await lookup(host);
    return null;
  } catch (error) {
    return `the host ${host} is not known here (${(error as NodeJS.ErrnoException).code})`;
  }
}
