// `lockstep coordinator`: trains a run with whatever workers come; starts none itself.
import { rename, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { messageOf, UserError } from '../util/errors.js';
import { outputOf } from './output.js';
import {
  addRunOptions,
  awaitOutcome,
  loadRunConfig,
  sameCommand,
  startRun,
  type RunOptions,
} from './run-options.js';
import { workerCommand } from './security-options.js';
import { createTrainingDisplay } from './training-display.js';

interface CoordinatorCommandOptions extends RunOptions {
  readonly addressFile?: string;
}

export function register(program: Command): void {
  addRunOptions(
    program
      .command('coordinator')
      .description('train a run with workers that are started elsewhere (lockstep worker URL)'),
    { bind: 'tcp://127.0.0.1:7117' },
  )
    .option(
      '--address-file <file>',
      'write where workers connect into this file, for scripts that start them',
    )
    .option(
      '--stay',
      'once the run is completed, serve its page and tell workers that it is over, until Ctrl-C or SIGTERM',
    )
    .action(async (config: string, options: CoordinatorCommandOptions, command: Command) => {
      const output = outputOf(command);
      const display = createTrainingDisplay(process.stderr);
      const asked = new Promise((resolve) => {
        if (options.stay) for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, resolve);
      });
      const started = await startRun(await loadRunConfig(config, options), options, display);
      const { run, coordinator } = started;
      try {
        display.start(run, coordinator);
        display.log(workerCommand(coordinator.url, options));
        if (options.addressFile !== undefined) {
          await writeAddress(options.addressFile, coordinator.url).catch((error) => coordinator.fail(error));
        }
        const outcome = await awaitOutcome(started, display, sameCommand());
        output.result(display.summary(outcome), display.summaryText(outcome));
        if (options.stay) {
          display.close();
          output.note('The run is completed. Workers who come are told so, until Ctrl-C.');
          await Promise.race([asked, run.term.superseded]);
          await coordinator.leave();
        }
      } finally {
        display.close();
      }
    });
}

/** Throws UserError ADDRESS_FILE_FAILED. Whoever waits for the file finds the whole address in it, or no file. */
async function writeAddress(file: string, url: string): Promise<void> {
  const unfinished = `${file}.${process.pid}`;
  try {
    await writeFile(unfinished, `${url}\n`);
    await rename(unfinished, file);
  } catch (error) {
    throw new UserError('ADDRESS_FILE_FAILED', `cannot write ${file}: ${messageOf(error)}`, { cause: error });
  }
}
