// `lockstep keygen`: a key pair for each party of a cluster. Secret keys are never shown and never overwritten.
import path from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../util/errors.js';
import { outputOf } from './output.js';

const DEFAULT_NAMES = ['coordinator', 'worker'];

export function register(program: Command): void {
  program
    .command('keygen')
    .description('make keys for a coordinator and workers on other machines: NAME.key (secret) and NAME.pub')
    .argument('[names...]', 'whose keys to make (default: coordinator worker)')
    .option('--out <dir>', 'where to write them', 'keys')
    .action(async (names: string[], { out }: { out: string }, command: Command) => {
      const { writeKeyPair } = await import('../transport/key-files.js');
      const output = outputOf(command);
      for (const name of names.length > 0 ? names : DEFAULT_NAMES) {
        checkName(name);
        const { secretFile, publicFile } = await writeKeyPair(out, name);
        output.result({ name, secretFile, publicFile }, `${secretFile}  ${publicFile}`);
      }
      if (names.length === 0) output.note(howToUse(out));
    });
}

function checkName(name: string): void {
  if (/^[\w][\w.-]{0,63}$/.test(name)) return;
  throw new UserError(
    'KEY_NAME_INVALID',
    `expected a name of letters, digits, "_", "-" and ".", at most 64, got "${name}"`,
  );
}

function howToUse(out: string): string {
  const file = (name: string): string => path.join(out, name);
  return `
The coordinator:  npx lockstep coordinator CONFIG --bind tcp://HOST:7117 --key ${file('coordinator.key')} --workers-allowed ${file('worker.pub')}
A worker:         npx lockstep worker tcp://HOST:7117 --key ${file('worker.key')} --coordinator-key ${file('coordinator.pub')}
Each .key file belongs on the machines of its owner and nowhere else. --workers-allowed may be a directory of .pub files.`;
}
