// Which events are told in a line of their own on a terminal, and how; the panel and the progress show the rest.
import { describe } from '../live/describe.js';
import type { RunView } from '../live/run-view.js';
import type { TrainingEvent } from '../metrics/events.js';

/** null: in none. */
export function worthALine(event: TrainingEvent, { run }: RunView): string | null {
  switch (event.kind) {
    case 'runStarted':
    case 'runEnded':
    case 'checkpointWritten':
      return null;
    case 'lastPredictionsAwaited': // who reads of the run later is told that it has ended
      return `Asking the last model about held-out samples, for at most ${event.mostSeconds} s`;
    case 'evaluated':
      return `${describe(event)!.text}${baseline(run?.unigramLoss)}`;
    default:
      return describe(event)?.text ?? null;
  }
}

/** What the loss compares with: "" where it is not known. */
export function baseline(unigramLoss: number | null | undefined): string {
  return unigramLoss ? ` (word frequencies alone: ${unigramLoss.toFixed(3)})` : '';
}
