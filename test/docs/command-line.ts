// Lockstep's command line as a parser only: what it would take, without running anything.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command, CommanderError } from 'commander';
import { packageRoot } from '../../src/util/package.js';

/** Commands that a file of src/cli registers, parsed but not run. */
export async function commandLine(): Promise<Command> {
  const program = new Command('lockstep').option('--json').option('-V, --version').exitOverride();
  const folder = path.join(packageRoot, 'dist/src/cli');
  const sources = readdirSync(path.join(packageRoot, 'src/cli')).filter((name) => name !== 'main.ts');
  for (const name of sources.sort()) {
    const url = pathToFileURL(path.join(folder, name.replace(/\.ts$/, '.js'))).href;
    const { register } = (await import(url)) as { register?: (program: Command) => void };
    register?.(program);
  }
  for (const command of allCommands(program)) {
    command.exitOverride().configureOutput({ writeErr: () => undefined, writeOut: () => undefined });
    if (command !== program) command.action(() => undefined);
  }
  return program;
}

function allCommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allCommands)];
}

/** What is wrong with a call of `lockstep`; null when nothing is. */
export async function faultOfCall(args: readonly string[]): Promise<string | null> {
  try {
    await (await commandLine()).parseAsync([...args], { from: 'user' });
    return null;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? null : error.message;
  }
}
