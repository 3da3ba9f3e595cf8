// Where this package lies and which version it is, for --version, checkpoints and the paths of what it ships.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The package's root folder, with a trailing slash; compiled files lie in dist/src/… below it. */
export const packageRoot = fileURLToPath(new URL('../../../', import.meta.url));

let version: string | undefined;

/** The version in package.json, which is read once. */
export function packageVersion(): string {
  return (version ??= (JSON.parse(readFileSync(`${packageRoot}package.json`, 'utf8')) as { version: string })
    .version);
}
