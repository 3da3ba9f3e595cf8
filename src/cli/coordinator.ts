// `lockstep coordinator`: trains a run with whatever workers come; starts none itself.
import type { Command } from 'commander';
import { outputOf } from './output.js';
import { addRunOptions, awaitOutcome, sameCommand, startRun, type RunOptions } from './run-options.js';
import { createTrainingDisplay } from './training-display.js';

export function register(program: Command): void {
  addRunOptions(
    program
      .command('coordinator')
      .description('train a run with workers that are started elsewhere (lockstep worker URL)'),
    { bind: 'tcp://127.0.0.1:7117' },
  ).action(async (config: string, options: RunOptions, command: Command) => {
    const output = outputOf(command);
    const display = createTrainingDisplay(process.stderr);
    const started = await startRun(config, options, display.on);
    const { run, coordinator } = started;
    display.start(run, coordinator);
    output.note(`Workers: lockstep worker ${coordinator.url}`);
    try {
      const outcome = await awaitOutcome(started, output, sameCommand());
      output.result(display.summary(outcome), display.summaryText(outcome));
    } finally {
      display.close();
    }
  });
}
