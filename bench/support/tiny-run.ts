// A run whose model is so small that its workers' time is what they are told to sleep, and the processes of it: what
// makes the time between events measurable where there are fewer cores than workers.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Lockstep } from './lockstep.js';
import { LoggedProcess, type LogLine } from './logged-process.js';

const MODEL = { width: 16, heads: 2, feedForward: 16, encoderLayers: 1, decoderLayers: 1, maxLength: 16 };
const TEXT = Array.from({ length: 3000 }, (_, i) => `w${(i * i + 7 * i) % 701}`).join(' ');

export interface TinyRunOptions {
  readonly folder: string;
  readonly name: string;
  readonly microBatches: number;
  readonly steps: number;
  readonly signal: AbortSignal;
}

/** Prepares the data that all tiny runs of a folder train on. */
export async function prepareTinyData(folder: string, signal: AbortSignal): Promise<void> {
  const text = join(folder, 'text.txt');
  await writeFile(text, TEXT);
  await new Lockstep(['prepare', text, '--out', join(folder, 'data'), '--vocabulary', '400'], signal)
    .finished;
}

export class TinyRun {
  coordinator!: LoggedProcess;
  url = 'tcp://127.0.0.1:*';
  private readonly processes: LoggedProcess[] = [];

  constructor(private readonly options: TinyRunOptions) {}

  get directory(): string {
    return join(this.options.folder, this.options.name);
  }

  /** Starts the coordinator, or starts it again where it listened before. */
  async start(): Promise<void> {
    const { folder, name, microBatches, steps, signal } = this.options;
    const never = 1_000_000;
    const config = {
      data: join(folder, 'data'),
      model: MODEL,
      window: 8,
      batch: { microBatches, samples: 2 },
      steps,
      evaluate: { every: never, batches: 1 },
      checkpoint: { every: never, keepLast: 1 },
    };
    const file = join(folder, `${name}.yaml`);
    await writeFile(file, JSON.stringify(config, null, 2)); // JSON is YAML
    const args = ['coordinator', file, '--run', this.directory, '--bind', this.url];
    this.coordinator = this.track(new LoggedProcess(args, signal));
    const { startedAt } = this.coordinator;
    const { fields } = await this.happened('it listens', startedAt, ({ msg }) =>
      msg.startsWith('coordinator listening'),
    );
    this.url = String(fields['url']);
  }

  /** A worker that sleeps so long for each micro-batch. */
  join(name: string, sleepMs: number): LoggedProcess {
    const args = ['worker', this.url, '--name', name, '--threads', '1', '--fault', `sleep:${sleepMs}`];
    return this.track(new LoggedProcess(args, this.options.signal));
  }

  /** What the coordinator's log says next, from `since` on (ms since 1970). */
  happened(what: string, since: number, fits: (line: LogLine) => boolean): Promise<LogLine> {
    return this.coordinator.line(what, since, fits);
  }

  joined(name: string, since: number): Promise<LogLine> {
    return this.happened(`${name} joins`, since, ({ msg }) => new RegExp(`^${name} on .* joined`).test(msg));
  }

  /** The next lease, given to anybody but the ones named. */
  leased(since: number, butNot: readonly string[] = []): Promise<LogLine> {
    return this.happened(
      'a lease',
      since,
      ({ msg, fields }) => msg === 'lease' && !butNot.includes(String(fields['worker'])),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.processes.map((process) => process.kill()));
  }

  private track(process: LoggedProcess): LoggedProcess {
    this.processes.push(process);
    return process;
  }
}
