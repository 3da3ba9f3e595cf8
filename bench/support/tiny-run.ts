// A run whose model is so small that its workers' time is what they are told to sleep, and the processes of it: what
// makes the time between events measurable where there are fewer cores than workers.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LockstepProcess } from './lockstep-process.js';
import { isLease, timeOf, type LogLine } from './log-lines.js';
import { lockstepOutput } from './run-lockstep.js';
import { wordText } from './word-text.js';

const MODEL = { width: 16, heads: 2, feedForward: 16, encoderLayers: 1, decoderLayers: 1, maxLength: 16 };

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
  await writeFile(text, wordText(3000));
  await lockstepOutput(['prepare', text, '--out', join(folder, 'data'), '--vocabulary', '400'], { signal });
}

export class TinyRun {
  coordinator!: LockstepProcess;
  url = 'tcp://127.0.0.1:*';
  private readonly processes: LockstepProcess[] = [];

  constructor(private readonly options: TinyRunOptions) {}

  get directory(): string {
    return join(this.options.folder, this.options.name);
  }

  /** Starts the coordinator, or starts it again where it listened before. */
  async start(): Promise<void> {
    const { folder, name, microBatches, steps } = this.options;
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
    this.coordinator = this.run(['coordinator', file, '--run', this.directory, '--bind', this.url]);
    this.url = (await this.coordinator.listening()).url;
  }

  /** A worker that sleeps so long for each micro-batch. */
  join(name: string, sleepMs: number): LockstepProcess {
    return this.run(['worker', this.url, '--name', name, '--threads', '1', '--fault', `sleep:${sleepMs}`]);
  }

  /** What the coordinator's log says next, from `since` on (ms since 1970). */
  happened(what: string, since: number, fits: (line: LogLine) => boolean): Promise<LogLine> {
    return this.coordinator.line(what, (line) => timeOf(line) >= since && fits(line));
  }

  joined(name: string, since: number): Promise<LogLine> {
    return this.happened(`${name} joins`, since, ({ msg }) => new RegExp(`^${name} on .* joined`).test(msg));
  }

  /** The first lease from then on; `lost`: not that of this worker, which may have been given in the same millisecond. */
  leased(since: number, lost?: string): Promise<LogLine> {
    return this.happened('a lease', since, (line) => isLease()(line) && line['worker'] !== lost);
  }

  async close(): Promise<void> {
    for (const process of this.processes) process.kill('SIGKILL');
    await Promise.all(this.processes.map((process) => process.exit()));
  }

  private run(args: readonly string[]): LockstepProcess {
    const { signal } = this.options;
    const process = new LockstepProcess([...args, '--log-level', 'debug'], { signal });
    this.processes.push(process);
    return process;
  }
}
