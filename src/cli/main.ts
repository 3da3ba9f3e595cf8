#!/usr/bin/env node
// The command line: registers every command, runs the one asked for and turns its outcome into an exit code.
// Command files import heavy modules inside their actions, so that `lockstep --help` answers at once.

import { Command, CommanderError } from 'commander';
import { packageVersion } from '../util/package.js';
import {
  endQuietlyOnClosedPipe,
  ExitCode,
  exitAfterFlush,
  keepStdoutForResults,
  reportFailure,
} from './output.js';
import * as coordinator from './coordinator.js';
import * as doctor from './doctor.js';
import * as evaluate from './eval.js';
import * as fill from './fill.js';
import * as generate from './generate.js';
import * as keygen from './keygen.js';
import * as prepare from './prepare.js';
import * as quickstart from './quickstart.js';
import * as runs from './runs.js';
import * as schema from './schema.js';
import * as score from './score.js';
import * as simulateCluster from './simulate-cluster.js';
import * as setup from './setup.js';
import * as status from './status.js';
import * as train from './train.js';
import * as translate from './translate.js';
import { keyAdvice } from './unknown-option.js';
import * as verify from './verify.js';
import * as watch from './watch.js';
import * as worker from './worker.js';

/** In the order in which the help lists them. */
const commands = [
  quickstart,
  prepare,
  train,
  coordinator,
  worker,
  keygen,
  runs,
  status,
  watch,
  fill,
  generate,
  translate,
  evaluate,
  score,
  verify,
  simulateCluster,
  doctor,
  setup,
  schema,
];

function createProgram(): Command {
  const program = new Command('lockstep')
    .description(
      'Trains encoder-decoder Transformers data-parallel, with the same bits whatever happens on the way.',
    )
    .version(packageVersion(), '-V, --version', 'print the version')
    .option('--json', 'print results as JSON on stdout, one a line, and nothing else there')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .configureHelp({ showGlobalOptions: true })
    .exitOverride();
  for (const command of commands) command.register(program);
  nameHelpAfterErrors(program, 'lockstep');
  return program;
}

/** Whoever gets an argument of a command wrong is told where that command's are listed. */
function nameHelpAfterErrors(command: Command, words: string): void {
  const { commands } = command;
  command.showHelpAfterError(
    `(${words} --help lists ${commands.length > 0 ? 'commands and options' : 'its arguments and options'})`,
  );
  for (const each of commands) nameHelpAfterErrors(each, `${words} ${each.name()}`);
}

/** Runs the command line `argv` (as in process.argv) and returns its exit code. */
async function run(argv: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(argv);
    return process.exitCode === undefined ? ExitCode.ok : Number(process.exitCode);
  } catch (error) {
    // Commander has already said what is wrong with the arguments, or printed the help it was asked for.
    if (error instanceof CommanderError) {
      const advice = await keyAdvice(error.message, argv);
      if (advice !== null) process.stderr.write(`${advice}\n`);
      return error.exitCode === 0 ? ExitCode.ok : ExitCode.user;
    }
    return reportFailure(error);
  }
}

endQuietlyOnClosedPipe();
keepStdoutForResults();
for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (error) => process.exit(reportFailure(error)));
}
process.on('SIGINT', () => {
  // A command that stops in an orderly way has a listener of its own; for all others this is the end.
  if (process.listenerCount('SIGINT') === 1) process.exit(ExitCode.interrupted);
});
await exitAfterFlush(await run(process.argv));
