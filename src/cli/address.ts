// Addresses as users write them on the command line.
import { UserError } from '../util/errors.js';

const MOST_PORT = 65_535;

/** "HOST:PORT" or "PORT" (then 127.0.0.1) of an HTTP server, as `--http` takes it; an IPv6 address may be in brackets. */
export function parseHttpAddress(text: string): { host: string; port: number } {
  const [, inBrackets, host = '127.0.0.1', port] = /^(?:(?:\[(.+)\]|([^[\]]+)):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > MOST_PORT) {
    throw new UserError(
      'ADDRESS_INVALID',
      `--http: expected HOST:PORT or PORT, which is at most ${MOST_PORT}, got "${text}"`,
    );
  }
  return { host: inBrackets ?? host, port: Number(port) };
}

/** "tcp://HOST:PORT"; the scheme may be left out. A coordinator may bind to port "*" (any that is free). */
export function parseTcpAddress(text: string, options: { readonly anyPort: boolean }): string {
  const url = text.includes('://') ? text : `tcp://${text}`;
  const port = options.anyPort ? String.raw`\d{1,5}|\*` : String.raw`\d{1,5}`;
  const pattern = String.raw`^tcp://[^/:\s[\]]+:(${port})$`;
  const found = new RegExp(pattern).exec(url)?.[1];
  if (found === undefined || Number(found) > MOST_PORT) {
    throw new UserError(
      'ADDRESS_INVALID',
      `${options.anyPort ? '--bind: ' : ''}expected tcp://HOST:PORT, HOST being a name or an IPv4 address, got "${text}"`,
    );
  }
  return url;
}
