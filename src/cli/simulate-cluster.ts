// `lockstep simulate-cluster`: how long a step would take on a cluster that is not there, and what limits it.
import { Option, type Command } from 'commander';
import type { ClusterPlan, Costs } from '../simulation/plan.js';
import { integerArgument } from './options.js';
import { outputOf } from './output.js';
import { createProgress } from './progress.js';
import { amountArgument, bandwidthArgument, durationArgument, quantityOption } from './quantities.js';

interface Options {
  readonly workers: number;
  readonly workersPerHost: number;
  readonly parameters: number;
  readonly step: number;
  readonly microBatches?: number;
  readonly reducers: number;
  readonly wire: 'float32' | 'bfloat16';
  readonly bandwidth: number;
  readonly workerBandwidth?: number;
  readonly latency: number;
  readonly cores?: number;
  readonly ioRate?: number;
  readonly addRate?: number;
  readonly updateRate?: number;
  readonly messageTime?: number;
}

export function register(program: Command): void {
  program
    .command('simulate-cluster')
    .description(
      'how long a step would take on a cluster, and what limits it: the real coordination in virtual time',
    )
    .requiredOption('--workers <n>', 'workers', integerArgument(1, 10_000))
    .requiredOption('--parameters <n>', 'trained parameters, such as 60M', amountArgument)
    .requiredOption(
      '--step <time>',
      'what a worker computes on one micro-batch, forward and backward, such as 1s',
      durationArgument,
    )
    .option(
      '--micro-batches <n>',
      'micro-batches of a step (default: one for each worker)',
      integerArgument(1, 65_536),
    )
    .addOption(
      quantityOption('--bandwidth <rate>', 'of each host, each direction', bandwidthArgument, '10Gbit'),
    )
    .option('--worker-bandwidth <rate>', "of the workers' hosts, if it is another", bandwidthArgument)
    .option('--workers-per-host <n>', 'workers that share a network interface', integerArgument(1), 1)
    .addOption(quantityOption('--latency <time>', 'one way between two hosts', durationArgument, '0.2ms'))
    .option('--reducers <n>', 'reducer threads of the coordinator', integerArgument(1, 256), 1)
    .addOption(
      new Option('--wire <format>', 'format of gradients on the way')
        .choices(['float32', 'bfloat16'])
        .default('float32'),
    )
    .option(
      '--cores <n>',
      "cores of the coordinator's host (default: as many as it has threads)",
      integerArgument(1),
    )
    .option('--io-rate <rate>', "bytes a second through the coordinator's I/O thread", bandwidthArgument)
    .option('--add-rate <n>', 'gradient elements that a reducer takes and adds a second', amountArgument)
    .option('--update-rate <n>', 'parameters that a reducer updates a second', amountArgument)
    .option('--message-time <time>', "what a message costs the coordinator's main thread", durationArgument)
    .action(async (options: Options, command: Command) => {
      const { explain } = await import('../simulation/explain.js');
      const { MEASURED_COSTS } = await import('../simulation/plan.js');
      const { describeCluster } = await import('./cluster-report.js');
      const progress = createProgress(process.stderr, {
        label: 'simulate',
        total: null,
        unit: 'simulations done',
      });
      let done = -1;
      try {
        const explanation = explain(planOf(options, MEASURED_COSTS), (next) =>
          progress.update(++done, [next]),
        );
        progress.update(done + 1);
        outputOf(command).result(explanation, describeCluster(explanation));
      } finally {
        progress.close();
      }
    });
}

function planOf(options: Options, measured: Costs): ClusterPlan {
  const { workers, bandwidth } = options;
  return {
    workers,
    workersPerHost: options.workersPerHost,
    parameters: options.parameters,
    microBatches: options.microBatches ?? workers,
    microBatchMs: options.step,
    reducers: options.reducers,
    wire: options.wire,
    coordinatorBytesPerSecond: bandwidth,
    workerBytesPerSecond: options.workerBandwidth ?? bandwidth,
    latencyMs: options.latency,
    cores: options.cores ?? Infinity,
    costs: {
      ioBytesPerSecond: options.ioRate ?? measured.ioBytesPerSecond,
      addedPerSecond: options.addRate ?? measured.addedPerSecond,
      updatedPerSecond: options.updateRate ?? measured.updatedPerSecond,
      messageMs: options.messageTime ?? measured.messageMs,
    },
  };
}
