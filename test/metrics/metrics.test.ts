import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCoordinatorMetrics } from '../../src/metrics/coordinator-metrics.js';
import {
  directions,
  auditOutcomes,
  leaseOutcomes,
  leaveReasons,
  messageFaults,
  resultOutcomes,
  skipReasons,
  workerStates,
  type TrainingEvent,
} from '../../src/metrics/events.js';
import type { Metrics } from '../../src/metrics/metrics.js';
import { createWorkerMetrics } from '../../src/metrics/worker-metrics.js';
import { workerPhases } from '../../src/protocol/messages.js';
import { committed, everyKind, runStarted, workerStatus } from './events.js';

function coordinatorMetrics(clock: () => number = () => 0): Metrics {
  return createCoordinatorMetrics({
    run: runStarted,
    measureRoom: () => Promise.resolve({ freeBytes: 25, sizeBytes: 100 }),
    clocks: { monotonic: clock, wall: () => 1_700_000_000 },
  });
}

function numberOf(text: string): number {
  return Number(text.replace('Inf', 'Infinity'));
}

/** The samples of a scrape: name with labels (but for the run, which is on all of a coordinator's), and value. */
async function scrape(metrics: Metrics): Promise<Map<string, number>> {
  const text = await metrics.registry.metrics();
  const lines = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.replace('{run="books"}', '').replace(/,run="books"|run="books",/, ''));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), numberOf(line.split(' ').at(-1)!)]),
  );
}

function publish(metrics: Metrics, events: readonly TrainingEvent[]): void {
  for (const event of events) metrics.on(event);
}

/** Asserts the values of the samples named. */
function assertSamples(samples: Map<string, number>, expected: Record<string, number>): void {
  for (const [name, value] of Object.entries(expected)) assert.equal(samples.get(name), value, name);
}

test("a coordinator's metrics count every event of the core", async () => {
  let clock = 1000;
  const metrics = coordinatorMetrics(() => clock);
  publish(metrics, everyKind);
  clock += 17;
  assertSamples(await scrape(metrics), {
    lockstep_steps_committed_total: 1,
    'lockstep_steps_skipped_total{reason="no_tokens"}': 1,
    'lockstep_steps_skipped_total{reason="non_finite"}': 0,
    lockstep_parameter_version: 2,
    lockstep_step_duration_seconds_count: 2,
    'lockstep_loss_nats{split="train"}': 2.5,
    'lockstep_loss_nats{split="validation"}': 3,
    'lockstep_accuracy_ratio{split="train"}': 0.25,
    'lockstep_accuracy_ratio{split="validation"}': 0.5,
    lockstep_learning_rate: 0.001,
    lockstep_gradient_norm: 1.5,
    lockstep_gradient_clips_total: 1,
    'lockstep_tokens_total{side="source"}': 300,
    'lockstep_tokens_total{side="target"}': 100,
    'lockstep_leases_total{outcome="covered"}': 1,
    'lockstep_leases_total{outcome="lost"}': 1,
    lockstep_lease_duration_seconds_sum: 0.3,
    'lockstep_workers{state="ready"}': 2,
    'lockstep_workers{state="joining"}': 1,
    lockstep_workers_joined_total: 1,
    lockstep_workers_foreign_total: 1,
    'lockstep_workers_left_total{reason="silent"}': 1,
    lockstep_term: 1,
    lockstep_steps_planned: 100,
    lockstep_steps_repeated_total: 3,
    lockstep_gradient_clip_norm: Infinity,
    lockstep_evaluation_duration_seconds_count: 1,
    lockstep_micro_batches_computed_total: 5,
    lockstep_micro_batches_trained_total: 4,
    'lockstep_micro_batch_results_total{outcome="first"}': 3,
    'lockstep_micro_batch_results_total{outcome="duplicate"}': 0,
    'lockstep_worker_phase_seconds_total{worker="worker-1@here",phase="compute"}': 6,
    'lockstep_worker_micro_batches_total{worker="worker-1@here"}': 5,
    'lockstep_worker_transfer_bytes_total{worker="worker-1@here",direction="gradients_out"}': 400,
    'lockstep_worker_resident_memory_bytes{worker="worker-1@here"}': 6000,
    'lockstep_messages_rejected_total{fault="malformed"}': 2,
    'lockstep_messages_rejected_total{fault="checksum"}': 2,
    'lockstep_reducer_busy_seconds_total{reducer="0",phase="update"}': 0.5,
    'lockstep_reducer_buffer_bytes{reducer="0",state="used"}': 64,
    lockstep_storage_free_bytes: 25,
    lockstep_storage_size_bytes: 100,
    'lockstep_transfer_bytes_total{direction="gradients_in"}': 1000,
    'lockstep_checkpoints_total{outcome="written"}': 1,
    'lockstep_checkpoints_total{outcome="failed"}': 1,
    lockstep_checkpoints_in_progress: 1,
    lockstep_checkpoint_duration_seconds_sum: 4,
    lockstep_checkpoint_size_bytes: 12345,
    lockstep_checkpoint_step: 2,
    lockstep_checkpoint_age_seconds: 17,
    lockstep_progress_age_seconds: 17,
    lockstep_checkpoint_timestamp_seconds: 1_700_000_000,
  });
});

test('the age of the checkpoint grows between scrapes and falls to zero with the next one', async () => {
  let clock = 50;
  const metrics = coordinatorMetrics(() => clock);
  const ages: (number | undefined)[] = [];
  for (const advance of [0, 30, 30]) {
    clock += advance;
    ages.push((await scrape(metrics)).get('lockstep_checkpoint_age_seconds'));
  }
  publish(metrics, [{ kind: 'checkpointWritten', step: 1, directory: 'step-1', seconds: 1, bytes: 1 }]);
  ages.push((await scrape(metrics)).get('lockstep_checkpoint_age_seconds'));
  assert.deepEqual(ages, [0, 30, 60, 0]);
});

test('worker states that an event leaves out are zero, not what they were', async () => {
  const metrics = coordinatorMetrics();
  publish(metrics, [
    { kind: 'workerStates', counts: { ready: 5 } },
    { kind: 'workerStates', counts: { joining: 2 } },
  ]);
  assertSamples(await scrape(metrics), {
    'lockstep_workers{state="ready"}': 0,
    'lockstep_workers{state="joining"}': 2,
  });
});

test('the series of a worker end when it leaves, and what it computed stays counted', async () => {
  const metrics = coordinatorMetrics();
  const one = workerStatus({ session: 'one', name: 'w', host: 'h' });
  const two = workerStatus({ session: 'two', name: 'w', host: 'h' });
  const workersNamed = async (): Promise<string[]> => {
    const labels = [...(await scrape(metrics)).keys()].map(
      (name) => /worker="([^"]+)"/.exec(name)?.[1] ?? [],
    );
    return [...new Set(labels.flat())];
  };
  publish(metrics, [{ kind: 'workers', workers: [one, two] }]);
  assert.deepEqual(await workersNamed(), ['w@h', 'w@h#2']);
  publish(metrics, [{ kind: 'workers', workers: [{ ...two, microBatches: 7 }] }]);
  assert.deepEqual(await workersNamed(), ['w@h#2']);
  assertSamples(await scrape(metrics), {
    lockstep_micro_batches_computed_total: 12,
    'lockstep_worker_micro_batches_total{worker="w@h#2"}': 7,
  });
});

test('a worker that reports less than before does no harm', async () => {
  const metrics = coordinatorMetrics();
  for (const microBatches of [5, 3, 4]) {
    publish(metrics, [{ kind: 'workers', workers: [workerStatus({ microBatches })] }]);
  }
  assertSamples(await scrape(metrics), { lockstep_micro_batches_computed_total: 6 });
});

test("every metric of a coordinator carries the run's name", async () => {
  const metrics = coordinatorMetrics();
  publish(metrics, everyKind);
  const lines = (await metrics.registry.metrics()).split('\n');
  assert.deepEqual(
    lines.filter((line) => line !== '' && !line.startsWith('#') && !line.includes('run="books"')),
    [],
  );
});

test("a worker's metrics count what it did", async () => {
  const metrics = createWorkerMetrics();
  publish(metrics, everyKind);
  assertSamples(await scrape(metrics), {
    lockstep_micro_batches_computed_total: 4,
    lockstep_tokens_computed_total: 80,
    lockstep_worker_parameter_version: 7,
    'lockstep_phase_seconds_total{phase="compute"}': 0.75,
    'lockstep_transfer_bytes_total{direction="gradients_out"}': 2000,
    lockstep_heartbeat_round_trip_seconds_count: 1,
  });
});

test('two sets of metrics in one process share nothing', async () => {
  const [one, two] = [coordinatorMetrics(), coordinatorMetrics()];
  publish(one, [committed(0)]);
  assertSamples(await scrape(one), { lockstep_steps_committed_total: 1 });
  assertSamples(await scrape(two), { lockstep_steps_committed_total: 0 });
});

/** Label values that may appear; anything else (a worker's name, a message) would grow without bound. */
const allowed: Record<string, readonly string[]> = {
  outcome: [...leaseOutcomes, ...resultOutcomes, ...auditOutcomes, 'written', 'failed'],
  state: [...workerStates, 'used', 'free'],
  fault: messageFaults,
  reason: [...leaveReasons, ...skipReasons],
  phase: [...workerPhases, 'reduce', 'update'],
  direction: [...directions, 'gradients_in', 'parameters_out'],
  run: ['books'],
  // Bounded by what the config allows, and by who is here: the series of who left are removed.
  reducer: ['0'],
  worker: ['worker-1@here'],
  host: ['here'],
  split: ['train', 'validation'],
  side: ['source', 'target'],
};

interface Metric {
  name: string;
  help: string;
  type: string;
}

/** What Prometheus's naming rules say against a metric (https://prometheus.io/docs/practices/naming/). */
function faultsOf({ name, help, type }: Metric): string[] {
  const faults: string[] = [];
  if (!/^lockstep_[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name)) faults.push('is not lockstep_ and snake case');
  if ((type === 'counter') !== name.endsWith('_total'))
    faults.push('is a counter, or ends in _total, but not both');
  if (/_(count|sum|bucket)$/.test(name)) faults.push("ends like a histogram's samples");
  if (
    /(milli|micro|nano)?(second|minute|hour|byte)(_|$)|_(ms|us|ns|kb|mb|minutes|hours|percent|milliseconds)(_|$)/.test(
      name,
    )
  )
    faults.push('has a unit that is not a base unit in the plural');
  if (/seconds|bytes/.test(name) && !/_(seconds|bytes)(_total)?$/.test(name))
    faults.push('does not end with its unit');
  if (/(gauge|counter|histogram|metric)/.test(name)) faults.push('names its type');
  if (!/^[A-Z].*\.$/.test(help)) faults.push('has no help that is a sentence');
  return faults.map((fault) => `${name} ${fault}`);
}

for (const [which, create] of [
  ['coordinator', coordinatorMetrics],
  ['worker', createWorkerMetrics],
] as const) {
  test(`the ${which}'s metrics keep Prometheus's naming rules and bounded labels`, async () => {
    const metrics = create();
    publish(metrics, everyKind);
    const all = (await metrics.registry.getMetricsAsJSON()) as unknown as (Metric & {
      values: { labels: Record<string, string> }[];
    })[];
    const own = all.filter(({ name }) => !/^(process|nodejs)_/.test(name));
    assert.ok(own.length > 5);
    assert.deepEqual(own.flatMap(faultsOf), []);
    for (const { name, values } of own) {
      for (const [label, value] of values.flatMap(({ labels }) => Object.entries(labels))) {
        if (label === 'le' || /_(build|run)_info$/.test(name)) continue;
        assert.ok(allowed[label]?.includes(value), `${name}{${label}="${value}"}`);
      }
    }
    assert.ok(all.some(({ name }) => name === 'process_resident_memory_bytes'));
    assert.ok(all.some(({ name }) => name === 'nodejs_eventloop_lag_seconds'));
  });
}
