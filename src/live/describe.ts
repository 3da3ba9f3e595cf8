// What is worth telling a person of what happens, in a sentence: for the terminal, the live page and events.jsonl.
import type { TrainingEvent } from '../metrics/events.js';
import { formatBytes, formatCount, printable } from '../util/format.js';

export type Level = 'info' | 'warn' | 'error';

export interface Description {
  readonly level: Level;
  readonly text: string;
}

/** null for what happens all the time. */
export function describe(event: TrainingEvent): Description | null {
  const told = sentence(event);
  return told && { ...told, text: printable(told.text) };
}

function sentence(event: TrainingEvent): Description | null {
  switch (event.kind) {
    case 'runStarted':
      return info(
        event.term === 1
          ? `Training began: ${formatCount(event.parameters)} parameters, ${formatCount(event.steps)} steps`
          : `The coordinator started again at step ${formatCount(event.version)} (term ${event.term})`,
      );
    case 'runEnded':
      if (event.reason === 'failed') return { level: 'error', text: `The run broke off: ${event.detail}` };
      return info(
        event.reason === 'completed'
          ? 'Training completed'
          : 'Training was stopped, and goes on when started again',
      );
    case 'workerJoined':
      return info(`${event.worker} on ${event.host} joined`);
    case 'foreignWorker':
      return warn(`${event.worker} on ${event.host} computes other bits than the run's first worker`);
    case 'workerLeft':
      return event.reason === 'finished'
        ? info(`${event.worker} on ${event.host} left: ${event.detail}`)
        : warn(`${event.worker} on ${event.host} was lost: ${event.detail}`);
    case 'stepSkipped':
      return warn(
        `Step ${formatCount(event.version)} was skipped: ${event.reason === 'no_tokens' ? 'no token carries loss' : 'its gradient is not finite'}`,
      );
    case 'evaluated':
      return info(`Step ${formatCount(event.version)}: validation loss ${lossText(event.loss)}`);
    case 'checkpointWritten':
      return info(
        `Checkpoint of step ${formatCount(event.step)} saved: ${formatBytes(event.bytes)} in ${event.seconds.toFixed(1)} s`,
      );
    case 'checkpointFailed':
      return {
        level: 'error',
        text: `The checkpoint of step ${formatCount(event.step)} could not be written: ${event.reason}`,
      };
    default:
      return null;
  }
}

/** JSON has no NaN: what was read from metrics.jsonl may be null. */
function lossText(loss: number | null): string {
  return loss === null || !Number.isFinite(loss) ? 'is not finite' : loss.toFixed(3);
}

function info(text: string): Description {
  return { level: 'info', text };
}

function warn(text: string): Description {
  return { level: 'warn', text };
}
