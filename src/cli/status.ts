// `lockstep status [RUN|URL]`: how a run stands, from its live coordinator or from its files.
import type { Command } from 'commander';
import { formatTime, outputOf } from './output.js';
import type { RunState, RunStatus } from './run-target.js';
import type { Line } from './spans.js';

const SHOWN_EVENTS = 10;
const SHOWN_WORKERS = 20;

export function register(program: Command): void {
  program
    .command('status')
    .description('how a run stands: progress, losses, workers, last events')
    .argument(
      '[run|url]',
      "a run's name or folder, or http://HOST:PORT of its coordinator; default: the run in runs/ started last",
    )
    .action(async (given: string | undefined, _options: object, command: Command) => {
      const { chooseTarget, statusOf } = await import('./run-target.js');
      const output = outputOf(command);
      const status = await statusOf(await chooseTarget(given, output));
      const { view, ...rest } = status;
      output.result({ ...rest, ...view }, await statusText(status));
    });
}

/** For a terminal as it is for a pipe. */
export async function statusText({ state, url, newestCheckpoint, view }: RunStatus): Promise<string> {
  const [{ panelLines }, { hasColour, renderLine, span }] = await Promise.all([
    import('./run-panel.js'),
    import('./spans.js'),
  ]);
  const options = { now: Date.now() / 1000, mostWorkers: SHOWN_WORKERS, url, isFromFiles: url === null };
  const lines: Line[] = [
    ...panelLines(view, options),
    [span(explanation(state, newestCheckpoint), 'dim')],
    ...view.events.slice(-SHOWN_EVENTS).map(({ time, level, text }): Line => {
      const style = level === 'info' ? 'plain' : level === 'warn' ? 'yellow' : 'red';
      return [span(`  ${formatTime(time)}  `, 'dim'), span(text, style)];
    }),
  ];
  const colour = hasColour(process.stdout);
  return lines.map((line) => renderLine(line, Infinity, colour)).join('\n');
}

function explanation(state: RunState, checkpoint: string | null): string {
  const saved = checkpoint === null ? '' : ` Newest checkpoint: ${checkpoint}`;
  return `${meaningOf(state)}${saved}`;
}

function meaningOf(state: RunState): string {
  switch (state) {
    case 'running':
      return 'It runs.';
    case 'completed':
      return 'It has ended: all steps are done.';
    case 'stopped':
      return 'It was stopped, and goes on with the command that began it.';
    case 'failed':
      return 'It broke off; the last event says why. It goes on with the command that began it.';
    case 'killed':
      return 'Nothing runs: its coordinator ended without saying so (killed, or the machine was). It goes on with the command that began it.';
    case 'unknown':
      return 'Its coordinator is on another machine and cannot be seen from here: ask it, by http://HOST:PORT.';
    case 'never started':
      return 'No coordinator has trained it yet.';
    default:
      return state satisfies never;
  }
}
