// What a person sees of a run that goes on, here or elsewhere: a panel on a terminal with what happens above it;
// otherwise plain lines, and the progress among them now and then.
import type { RunView } from '../live/run-view.js';
import { counted, formatCount, formatDuration } from '../util/format.js';
import { createProgress, isLive, type Progress } from './progress.js';
import { panelLines } from './run-panel.js';
import { Screen, type TextStream } from './screen.js';
import { hasColour, joined, span, type Line } from './spans.js';

export interface RunDisplay {
  /** The run as it stands now. Cheap: most calls draw nothing. */
  update(view: RunView): void;
  /** A line of text that stays. */
  log(text: string): void;
  /** What is the matter with all that is shown, such as "connection lost"; null: nothing. */
  remark(text: string | null): void;
  /** Draws the last state; no call may follow. */
  close(): void;
}

export interface RunDisplayOptions {
  /** What is going on, such as "train". */
  readonly label: string;
  readonly url: string | null;
}

const REDRAW_MS = 100;
/** Ages go on when nothing happens. */
const AGE_MS = 1000;
/** Lines of the panel that are not workers. */
const OTHER_LINES = 6;

export function createRunDisplay(stream: TextStream, options: RunDisplayOptions): RunDisplay {
  return isLive(stream) ? new Panel(stream, options) : new PlainLines(stream, options);
}

class Panel implements RunDisplay {
  private readonly screen: Screen;
  private view: RunView | undefined;
  private problem: string | null = null;
  private due: NodeJS.Timeout | undefined;
  private readonly ageing = setInterval(() => this.draw(), AGE_MS);

  constructor(
    stream: TextStream,
    private readonly options: RunDisplayOptions,
  ) {
    this.screen = new Screen(stream, hasColour(stream));
    this.ageing.unref();
  }

  update(view: RunView): void {
    this.view = view;
    this.due ??= setTimeout(() => this.draw(), REDRAW_MS);
  }

  log(text: string): void {
    this.screen.log(text);
  }

  remark(text: string | null): void {
    this.problem = text;
    this.draw();
  }

  close(): void {
    this.draw();
    clearInterval(this.ageing);
    this.screen.close();
  }

  private draw(): void {
    clearTimeout(this.due);
    this.due = undefined;
    const { view, problem } = this;
    if (!view) return;
    const { url } = this.options;
    const mostWorkers = Math.max(1, this.screen.rows - OTHER_LINES);
    const lines: Line[] = panelLines(view, { now: Date.now() / 1000, mostWorkers, url });
    this.screen.show(problem === null ? lines : [...lines, joined([[span(problem, 'red')]])]);
  }
}

class PlainLines implements RunDisplay {
  private progress: Progress | undefined;

  constructor(
    private readonly stream: TextStream,
    private readonly options: RunDisplayOptions,
  ) {}

  update(view: RunView): void {
    const { run, version, lastLoss, tokensPerSecond, workers, etaSeconds, stopping, ended } = view;
    const isOver = stopping || ended !== null || version === run?.steps;
    this.progress ??= createProgress(this.stream, {
      label: this.options.label,
      total: run?.steps ?? null,
      unit: 'steps',
      live: false,
      timeLeft: false, // the view says it
    });
    const ready = workers.filter(({ state }) => state === 'ready').length;
    this.progress.update(version, [
      ...(lastLoss === null ? [] : [`loss ${lastLoss.toFixed(3)}`]),
      ...(tokensPerSecond === null || ready === 0
        ? []
        : [`${formatCount(Math.round(tokensPerSecond))} tokens/s`]),
      ...(ready > 0 ? [counted(ready, 'worker')] : isOver ? [] : ['waiting for workers']),
      ...(etaSeconds === null || ready === 0 || isOver ? [] : [`${formatDuration(etaSeconds)} left`]),
    ]);
  }

  log(text: string): void {
    this.stream.write(`${text}\n`);
  }

  remark(text: string | null): void {
    if (text !== null) this.log(text);
  }

  close(): void {
    this.progress?.close();
  }
}
