// How soon work goes on after a fault: a worker killed, a worker that stands still, one that joins, and the coordinator
// killed and started again. Real processes and sockets; the workers sleep instead of computing, so that one holds the
// step's only lease and the others are free.
import type { Command } from 'commander';
import { integerArgument } from '../src/cli/options.js';
import { table } from '../src/util/table.js';
import { timeOf, type LogLine } from './support/log-lines.js';
import { note } from './support/note.js';
import { withTemporaryFolder } from './support/temporary-folder.js';
import { prepareTinyData, TinyRun } from './support/tiny-run.js';

/** A lease that is not finished while anything is measured. */
const FOREVER_MS = 3_600_000;

/** Seconds until somebody holds a lease (again), and what they must not exceed. */
const goals = {
  'a worker joins: from its process’s start': null,
  'a worker joins: from its greeting’s answer': 2,
  'a worker is killed (kill -9)': 1,
  'a worker stands still (SIGSTOP)': 5.1, // the heartbeat timeout and one tick
  'the coordinator is killed and started again': 3,
} as const;
type Case = keyof typeof goals;

interface Options {
  readonly rounds: number;
  readonly json?: boolean;
}

type Result = Readonly<Record<Case, readonly number[]>>;

export function register(program: Command, signal: AbortSignal): void {
  program
    .command('recovery')
    .description('seconds until work goes on after a fault, from real processes')
    .option('--rounds <n>', 'how often each fault is made', integerArgument(1, 100), 2)
    .option('--json', 'print the result as JSON')
    .action(async (options: Options) => {
      const result = await measure(options.rounds, signal);
      process.stdout.write(`${options.json ? JSON.stringify(result) : describe(result)}\n`);
    });
}

async function measure(rounds: number, signal: AbortSignal): Promise<Result> {
  const result = Object.fromEntries(Object.keys(goals).map((name) => [name, [] as number[]]));
  await withTemporaryFolder(async (folder) => {
    await prepareTinyData(folder, signal);
    for (let round = 1; round <= rounds; round++) {
      note(`round ${round} of ${rounds}`);
      const run = new TinyRun({ folder, name: `run-${round}`, microBatches: 1, steps: 10, signal });
      try {
        for (const [name, seconds] of Object.entries(await faults(run))) result[name]!.push(seconds);
      } finally {
        await run.close();
      }
    }
  });
  return result as Record<Case, number[]>;
}

async function faults(run: TinyRun): Promise<Record<Case, number>> {
  await run.start();
  const [a, b, c] = ['a', 'b', 'c'].map((name) => run.join(name, FOREVER_MS)) as [
    ReturnType<TinyRun['join']>,
    ReturnType<TinyRun['join']>,
    ReturnType<TinyRun['join']>,
  ];
  const processes = { a, b, c };
  const first = await run.leased(0);
  const holder = first['worker'] as keyof typeof processes;
  const isGreeting = (line: LogLine): boolean => line.msg === 'hello' && line['worker'] === holder;
  const greeted = await run.happened('its greeting', 0, isGreeting);
  await Promise.all(['a', 'b', 'c'].map((name) => run.joined(name, 0)));

  const killedAt = Date.now();
  processes[holder].kill('SIGKILL');
  const second = await run.leased(killedAt, holder);

  const stoppedAt = Date.now();
  const next = second['worker'] as keyof typeof processes;
  processes[next].kill('SIGSTOP');
  const third = await run.leased(stoppedAt, next);

  run.coordinator.kill('SIGKILL');
  await run.coordinator.exit();
  const restartedAt = Date.now();
  await run.start();
  const fourth = await run.leased(restartedAt);
  return {
    'a worker joins: from its process’s start': (timeOf(first) - processes[holder].startedAt) / 1000,
    'a worker joins: from its greeting’s answer': (timeOf(first) - timeOf(greeted)) / 1000,
    'a worker is killed (kill -9)': (timeOf(second) - killedAt) / 1000,
    'a worker stands still (SIGSTOP)': (timeOf(third) - stoppedAt) / 1000,
    'the coordinator is killed and started again': (timeOf(fourth) - restartedAt) / 1000,
  };
}

function describe(result: Result): string {
  const rows = Object.entries(result).map(([name, seconds]) => {
    const goal = goals[name as Case];
    const worst = Math.max(...seconds);
    const verdict = goal === null ? '' : worst <= goal ? 'met' : 'missed';
    return [name, worst.toFixed(2), goal === null ? '-' : goal.toFixed(1), verdict];
  });
  return [
    'Seconds until a free worker holds the lease, the slowest of all rounds',
    table([['', 'seconds', 'goal', ''], ...rows]),
  ].join('\n');
}
