// Ctrl-C and SIGTERM from the moment a run is being opened: to end by a signal with sockets open would abort, and would leave
// the run's term to whoever comes next.
import { writeSync } from 'node:fs';

/** Once: finish in order. Ctrl-C again: stop now; supervisors repeat SIGTERM and have SIGKILL for that. */
export class StopSignals {
  private asked = false;
  private stop: (() => void) | undefined;
  private lastWords = 'Stopped at once.';
  private readonly listener = (signal: NodeJS.Signals): void => {
    if (!this.asked) this.ask();
    else if (signal === 'SIGINT') stopNow(this.lastWords);
  };

  constructor() {
    process.on('SIGINT', this.listener);
    process.on('SIGTERM', this.listener);
  }

  /** Whether a signal has come. */
  get isAsked(): boolean {
    return this.asked;
  }

  /** `stop` is called once: when a signal comes, or now if one has come. */
  onStop(stop: () => void, lastWords: string): void {
    this.stop = stop;
    this.lastWords = lastWords;
    if (this.asked) stop();
  }

  close(): void {
    process.off('SIGINT', this.listener);
    process.off('SIGTERM', this.listener);
  }

  private ask(): void {
    this.asked = true;
    this.stop?.();
  }
}

/** Ends by the signal itself: process.exit would tear open sockets of other threads down in a way that aborts. */
function stopNow(message: string): void {
  writeSync(2, `${message}\n`);
  process.removeAllListeners('SIGINT');
  process.kill(process.pid, 'SIGINT');
}
