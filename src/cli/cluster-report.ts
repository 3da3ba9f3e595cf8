// What `lockstep simulate-cluster` prints for people.
import type { Explanation, Limit, Variant } from '../simulation/explain.js';
import { table } from '../util/table.js';

const LIMITS: Readonly<Record<Limit | 'compute', string>> = {
  'coordinator network': "the network of the coordinator's host",
  'worker network': "the network of the workers' hosts",
  'I/O thread': "the coordinator's I/O thread",
  'reducer CPU': "the reducers' CPU",
  messages: 'the time that messages take the coordinator',
  cores: "the cores of the coordinator's host",
  latency: 'latency',
  granularity: 'granularity: the micro-batches cannot be dealt out evenly',
  compute: 'the workers’ computing, as it should be',
};

export function describeCluster(explanation: Explanation): string {
  const { plan, measured, bottleneck, partWorkers, without, settings } = explanation;
  const { busyMs, stepMs } = measured;
  const busy = (name: string, ms: number): string[] => [name, time(ms), percent(ms / stepMs)];
  const variants = (heading: string, rows: readonly Variant[]): string[] =>
    rows.length === 0
      ? []
      : [
          '',
          table([
            [heading, 'a step takes', 'efficiency'],
            ...rows.map(({ name, stepMs, efficiency }) => [name, time(stepMs), percent(efficiency)]),
          ]),
        ];
  return [
    headline(explanation),
    '',
    table([
      ['a step takes', time(stepMs)],
      ['with perfect scaling', time(explanation.perfectMs)],
      ['efficiency', percent(explanation.efficiency)],
    ]),
    `bottleneck: ${LIMITS[bottleneck]}`,
    ...advice(explanation),
    ...(measured.duplicates > 0
      ? [`leases computed twice in a step: ${measured.duplicates.toPrecision(3)}`]
      : []),
    '',
    table([
      ['busy in a step', 'time', 'of the step'],
      busy('coordinator’s network, in', busyMs.networkIn),
      busy('coordinator’s network, out', busyMs.networkOut),
      busy('coordinator’s I/O thread', busyMs.io),
      busy('coordinator’s main thread', busyMs.main),
      busy('the busiest reducer', busyMs.reducer),
      busy('a worker’s computing', busyMs.compute / plan.workers),
    ]),
    ...variants('without a limit', without),
    ...variants('with another setting', settings),
    ...(partWorkers < plan.workers
      ? ['', `the last tables: from ${partWorkers} workers with as much less of all that they share`]
      : []),
  ].join('\n');
}

function headline({ plan }: Explanation): string {
  const { workers, parameters, microBatches, microBatchMs, reducers, wire } = plan;
  return (
    `${count(workers, 'worker')}, ${(parameters / 1e6).toPrecision(3)} million parameters, ` +
    `${count(microBatches, 'micro-batch', 'es')} a step of ${time(microBatchMs)} each; ` +
    `${count(reducers, 'reducer')}, gradients in ${wire}`
  );
}

function advice({ efficiency, plan, microBatchesForNineTenths }: Explanation): string[] {
  if (efficiency >= 0.9) return [];
  const now = plan.microBatches / plan.workers;
  return [
    `a worker would have to compute ${microBatchesForNineTenths} micro-batches a step, not ${Number(now.toPrecision(3))}, for an efficiency of 90 %`,
  ];
}

function count(number: number, name: string, plural = 's'): string {
  return `${number} ${name}${number === 1 ? '' : plural}`;
}

function time(ms: number): string {
  return ms >= 1000 ? `${(ms / 1000).toPrecision(3)} s` : `${Number(ms.toPrecision(3))} ms`;
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}
