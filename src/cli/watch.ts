// `lockstep watch [RUN|URL]`: what `train` shows, of a run that is trained elsewhere, until it ends.
import type { Command } from 'commander';
import type { RunView } from '../live/run-view.js';
import { outputOf, type Output } from './output.js';
import type { Target } from './run-target.js';

export function register(program: Command): void {
  program
    .command('watch')
    .description('follow a run: progress, losses, workers and events as they happen')
    .argument(
      '[run|url]',
      "a run's name or folder, or http://HOST:PORT of its coordinator; default: the run in runs/ started last",
    )
    .action(async (given: string | undefined, _options: object, command: Command) => {
      const { chooseTarget } = await import('./run-target.js');
      const output = outputOf(command);
      const stop = new AbortController();
      const interrupt = (): void => stop.abort();
      process.on('SIGINT', interrupt);
      try {
        await watch(await chooseTarget(given, output), output, stop.signal);
      } finally {
        process.off('SIGINT', interrupt);
      }
    });
}

/** With --json: the view as one line, then every event as one. */
async function watch(target: Target, output: Output, signal: AbortSignal): Promise<void> {
  const [{ followRun }, { createRunDisplay }, { worthALine }, { statusOf }, { statusText }] =
    await Promise.all([
      import('./follow-run.js'),
      import('./run-display.js'),
      import('./worth-a-line.js'),
      import('./run-target.js'),
      import('./status.js'),
    ]);
  if (output.json) {
    const follower = {
      onView: (view: object, event: object | null) => output.result(event ?? { kind: 'view', ...view }, ''),
      onProblem: (problem: string | null) => problem !== null && output.note(problem),
    };
    return followRun(target, follower, signal);
  }
  const url = 'url' in target ? target.url : null;
  const display = createRunDisplay(process.stderr, { label: 'watch', url });
  let problem: string | null = null;
  let ended: RunView['ended'] = null;
  try {
    await followRun(
      target,
      {
        onView: (view, event) => {
          const line = event && worthALine(event, view);
          if (line) display.log(line);
          display.update(view);
          ended = view.ended;
        },
        onProblem: (now) => {
          if (now === problem) return;
          problem = now;
          display.remark(now);
        },
      },
      signal,
    );
  } finally {
    display.close();
  }
  if (signal.aborted) return;
  if (!('run' in target)) return output.result(null, 'The run has ended.');
  const status = await statusOf(target);
  // The coordinator tells its watchers before it is gone.
  const state = (ended as RunView['ended'])?.reason ?? status.state;
  output.result(null, await statusText({ ...status, state }));
}
