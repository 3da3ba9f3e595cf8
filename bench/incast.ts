// What reducers take in when many workers push at once: real reducer threads, and clients in processes of their own that
// push gradients and compute nothing; beside it what this machine's memory and bare ZeroMQ sockets are capable of.
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { integerArgument, numberArgument } from '../src/cli/options.js';
import { counted } from '../src/util/format.js';
import { table } from '../src/util/table.js';
import { reducersRate, socketsRate, type IncastOptions } from './support/incast-run.js';
import { note } from './support/note.js';
import { median } from './support/statistics.js';

const RECEIVERS = [1, 2, 4];
/** GB/s of one reducer. */
const GOALS = { plain: 1.5, encrypted: 0.6 };

interface Options {
  readonly elements: number;
  readonly clients: number;
  readonly processes: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly json?: boolean;
}

/** Bytes a second, one number for each round. */
interface Measurement {
  readonly receivers: number;
  readonly encrypted: boolean;
  readonly reducers: number[];
  readonly sockets: number[];
}

interface Result {
  readonly cores: number;
  readonly memoryCopy: number[];
  readonly measurements: readonly Measurement[];
}

export function register(program: Command, signal: AbortSignal): void {
  program
    .command('incast')
    .description('what 1, 2 and 4 reducers take in when many workers push at once, in GB/s')
    .option('--elements <n>', 'numbers of a gradient', integerArgument(1), 16 * 2 ** 20)
    .option('--clients <n>', 'workers that push', integerArgument(1, 1024), 8)
    .option('--processes <n>', 'processes that hold them', integerArgument(1, 64), 2)
    .option('--seconds <n>', 'how long each rate is measured', numberArgument(0), 3)
    .option('--rounds <n>', 'how often', integerArgument(1, 100), 3)
    .option('--json', 'print the result as JSON')
    .action(async (options: Options) => {
      const result = await measure(options, signal);
      process.stdout.write(`${options.json ? JSON.stringify(result) : describe(options, result)}\n`);
    });
}

async function measure(options: Options, signal: AbortSignal): Promise<Result> {
  const measurements: Measurement[] = [false, true].flatMap((encrypted) =>
    RECEIVERS.map((receivers) => ({ receivers, encrypted, reducers: [], sockets: [] })),
  );
  const memoryCopy: number[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    memoryCopy.push(memoryCopyRate());
    for (const { receivers, encrypted, reducers, sockets } of measurements) {
      const what = `${receivers} ${encrypted ? 'encrypted' : 'plain'}`;
      note(`round ${round} of ${options.rounds}: ${what}`);
      const arm: IncastOptions = { ...options, receivers, encrypted };
      reducers.push(await reducersRate(arm, signal));
      sockets.push(await socketsRate(arm, signal));
    }
  }
  return { cores: availableParallelism(), memoryCopy, measurements };
}

/** Bytes a second that one thread copies, of a buffer that no cache holds. */
function memoryCopyRate(): number {
  const from = Buffer.alloc(2 ** 28, 1);
  const to = Buffer.alloc(2 ** 28, 2);
  const times = 8;
  const start = performance.now();
  for (let i = 0; i < times; i++) from.copy(to);
  return (times * from.length * 1000) / (performance.now() - start);
}

function describe({ clients, processes }: Options, { cores, memoryCopy, measurements }: Result): string {
  const gigabytes = (rates: readonly number[]): string => (median(rates) / 1e9).toFixed(2);
  const range = (rates: readonly number[]): string =>
    `${(Math.min(...rates) / 1e9).toFixed(2)}-${(Math.max(...rates) / 1e9).toFixed(2)}`;
  const rows = measurements.map(({ receivers, encrypted, reducers, sockets }) => {
    const goal = receivers === 1 ? (encrypted ? GOALS.encrypted : GOALS.plain) : undefined;
    const verdict =
      goal === undefined ? [] : [goal.toFixed(1), median(reducers) / 1e9 >= goal ? 'met' : 'missed'];
    const name = `${counted(receivers, 'reducer')}${encrypted ? ', CURVE' : ''}`;
    return [name, gigabytes(reducers), range(reducers), gigabytes(sockets), range(sockets), ...verdict];
  });
  return [
    `${clients} clients in ${processes} processes, ${cores} cores for all; float32, GB/s, median of all rounds`,
    table([['', 'reducers', 'range', 'sockets', 'range', 'goal', ''], ...rows]),
    `memory copy, one thread: ${gigabytes(memoryCopy)} GB/s`,
  ].join('\n');
}
