// What a step costs beside its computing as workers become more: a real coordinator process with real reducers, and workers
// that only pretend to compute, as ZeroMQ clients in one process. The same clusters are then simulated with the costs
// that were measured, which tells how far a simulation can be trusted.
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { context } from 'zeromq';
import { integerArgument, numberArgument } from '../src/cli/options.js';
import type { Costs } from '../src/simulation/plan.js';
import { table } from '../src/util/table.js';
import { Deadline } from './support/deadline.js';
import { note } from './support/note.js';
import { costsOf, simulatedStepMs, type MeasuredStep } from './support/scale-model.js';
import { measureStep } from './support/scale-run.js';
import { withTemporaryFolder } from './support/temporary-folder.js';
import { prepareTinyData } from './support/tiny-run.js';

const SIZES = [1, 4, 16, 64, 256];
/** A worker has two connections, and each three of ZeroMQ's sockets: two tell what happens to it. */
const MOST_SOCKETS = 4096;

interface Options {
  readonly reducers: number;
  readonly compute: number;
  readonly steps: number;
  readonly budget: number;
  readonly quick?: boolean;
  readonly json?: boolean;
}

interface Result {
  readonly cores: number;
  readonly steps: readonly (MeasuredStep & { readonly simulatedMs: number })[];
  readonly costs: Costs;
}

export function register(program: Command, signal: AbortSignal): void {
  program
    .command('scale')
    .description('what a step costs beside computing, with 1 to 256 workers that only pretend to compute')
    .option('--reducers <n>', 'reducers of the coordinator', integerArgument(1, 64), 1)
    .option('--compute <ms>', 'what a worker pretends to compute in a step', integerArgument(1), 200)
    .option('--steps <n>', 'measured steps of each size', integerArgument(1, 1000), 4)
    .option('--budget <seconds>', 'no further size is begun that would end later', numberArgument(0), 120)
    .option('--quick', 'at most 4 workers: shows that it works, measures nothing')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options) => {
      const result = await measure(options, signal);
      process.stdout.write(`${options.json ? JSON.stringify(result) : describe(result)}\n`);
    });
}

async function measure(options: Options, signal: AbortSignal): Promise<Result> {
  context.maxSockets = MOST_SOCKETS;
  const deadline = new Deadline(options.budget);
  const steps: MeasuredStep[] = [];
  await withTemporaryFolder(async (folder) => {
    await prepareTinyData(folder, signal);
    for (const workers of SIZES.slice(0, options.quick ? 2 : undefined)) {
      if (!deadline.allows()) break;
      await deadline.time(async () => {
        const { reducers, compute: computeMs, steps: measured } = options;
        const step = await measureStep({ folder, workers, reducers, computeMs, steps: measured, signal });
        note(JSON.stringify(step));
        steps.push(step);
      });
    }
  });
  const costs = costsOf(steps);
  const cores = availableParallelism();
  return {
    cores,
    costs,
    steps: steps.map((step) => ({ ...step, simulatedMs: simulatedStepMs(step, costs, cores) })),
  };
}

function describe({ cores, steps, costs }: Result): string {
  const { parameters, computeMs, reducers } = steps[0]!;
  const rows = steps.map(({ workers, stepMs, cpuMs, workerCpuMs, residentMegabytes, simulatedMs }) => [
    String(workers),
    ms(stepMs),
    ms(stepMs - computeMs),
    ms(cpuMs.all / workers),
    ms(cpuMs.main / workers),
    ms(workerCpuMs / workers),
    residentMegabytes.toFixed(0),
    ms(simulatedMs),
    `${(100 * (simulatedMs / stepMs - 1)).toFixed(0)} %`,
  ]);
  return [
    `${(parameters / 1e6).toFixed(2)} million parameters, ${reducers} reducers, ${computeMs} ms of computing a step; ${cores} cores for all`,
    '',
    table([
      [
        'workers',
        'step',
        'beside computing',
        'coordinator: CPU/worker',
        'its main thread',
        'worker: CPU',
        'coordinator: MB',
        'simulated',
        'error',
      ],
      ...rows,
    ]),
    '',
    'Costs of the coordinator, from the CPU time of its threads:',
    table([
      ['bytes through the I/O thread', `${(costs.ioBytesPerSecond / 1e9).toFixed(2)} GB/s`],
      ['elements added by a reducer', `${(costs.addedPerSecond / 1e6).toFixed(0)} M/s`],
      ['parameters updated by a reducer', `${(costs.updatedPerSecond / 1e6).toFixed(0)} M/s`],
      ['a message', `${(costs.messageMs * 1000).toFixed(0)} us`],
    ]),
  ].join('\n');
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
}
