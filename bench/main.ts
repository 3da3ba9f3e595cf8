// `npm run bench -- NAME`: runs one benchmark. Each of them is one file beside this one; what they share is in support/.
import { setMaxListeners } from 'node:events';
import { Command, CommanderError } from 'commander';
import * as engine from './engine.js';
import * as gpu from './gpu.js';
import * as incast from './incast.js';
import * as precision from './precision.js';
import * as recovery from './recovery.js';
import * as scale from './scale.js';
import * as scaling from './scaling.js';
import * as stragglers from './stragglers.js';
import { messageOf } from '../src/util/errors.js';

const benchmarks = [engine, gpu, scale, scaling, precision, recovery, stragglers, incast];

const interrupted = new AbortController();
setMaxListeners(0, interrupted.signal); // each process that is compared listens
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());

const program = new Command('npm run bench --')
  .description('Measures Lockstep on this machine. Results go to stdout, progress to stderr.')
  .usage('NAME [options]')
  .helpOption('-h, --help', 'print this help')
  .helpCommand(false)
  .showHelpAfterError('(npm run bench -- --help lists benchmarks)')
  .exitOverride();
for (const benchmark of benchmarks) benchmark.register(program, interrupted.signal);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else if (interrupted.signal.aborted) process.exitCode = 130;
  else {
    process.stderr.write(`error: ${messageOf(error)}\n`);
    process.exitCode = 1;
  }
}
