// The parts of a ZeroMQ address, tcp://HOST:PORT, where PORT may be a star.
import { assert } from './errors.js';

export function tcpHostAndPort(url: string): { readonly host: string; readonly port: string } {
  const [, host, port] = /^tcp:\/\/(.*):(\d+|\*)$/.exec(url) ?? [];
  assert(host !== undefined && port !== undefined, `not an address: ${url}`);
  return { host, port };
}
