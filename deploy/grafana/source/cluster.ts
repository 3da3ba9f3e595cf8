// The dashboard of a run's cluster: where workers' time goes, who is slow, what work is wasted, and whether network,
// memory or the coordinator holds the others up.

import { RowBuilder, type DashboardBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboard, graph, number, of, quantile, rate, several } from './parts.js';

const SPEED = `sum by (worker) (${rate('lockstep_worker_micro_batches_total')}) / (sum by (worker) (${rate('lockstep_worker_phase_seconds_total', 'phase="compute"')}) > 0)`;

/** A metric of DCGM's exporter on the machines of the run's workers: found by host name or, in Kubernetes, by pod. */
function onWorkersGpus(metric: string): string {
  const join = (label: string): string =>
    `on (${label}) group by (${label}) (label_replace(${of('lockstep_worker_info')}, "${label}", "$1", "host", "(.+)"))`;
  return `(${metric} and ${join('Hostname')}) or (${metric} and ${join('pod')})`;
}

function workers(board: DashboardBuilder): DashboardBuilder {
  return board
    .withRow(new RowBuilder('Workers'))
    .withPanel(
      number({
        title: 'Ready',
        description: 'Workers that may be given work.',
        unit: 'none',
        queries: [[`sum(${of('lockstep_workers', 'state="ready"')})`, 'ready']],
      }),
    )
    .withPanel(
      number({
        title: 'Busy',
        description:
          "Share of workers' time spent computing. Much less than 1: look at push, pull and idle below.",
        unit: 'percentunit',
        decimals: 0,
        thresholds: [
          [null, 'red'],
          [0.5, 'yellow'],
          [0.8, 'green'],
        ],
        queries: [
          [
            `sum(${rate('lockstep_worker_phase_seconds_total', 'phase="compute"')}) / sum(${rate('lockstep_worker_phase_seconds_total')})`,
            'computing',
          ],
        ],
      }),
    )
    .withPanel(
      number({
        title: 'Slowest worker',
        description: "Speed of the slowest worker as a share of the median's, while it computes.",
        unit: 'percentunit',
        decimals: 0,
        thresholds: [
          [null, 'red'],
          [0.5, 'yellow'],
          [0.8, 'green'],
        ],
        queries: [[`min(${SPEED}) / quantile(0.5, ${SPEED})`, 'slowest']],
      }),
    )
    .withPanel(
      graph({
        title: "Workers' time by phase",
        description:
          'Seconds per second of all workers: compute, push (gradients on their way), pull (parameters on their way), idle (waiting for work). Much push or pull: network or reducers. Much idle: steps too small, or one straggler.',
        unit: 'none',
        stacked: true,
        width: 15,
        queries: [[`sum by (phase) (${rate('lockstep_worker_phase_seconds_total')})`, '{{phase}}']],
      }),
    )
    .withPanel(
      graph({
        title: 'Speed of each worker',
        description:
          'Micro-batches per second of computing. A straggler stands below the others; the coordinator gives it less.',
        unit: 'none',
        decimals: 2,
        width: 12,
        queries: [[SPEED, '{{worker}}']],
      }),
    )
    .withPanel(
      graph({
        title: 'Silence of each worker',
        description: "Time since a worker's last sign of life. Beyond heartbeat.timeoutMs it counts as lost.",
        unit: 's',
        width: 12,
        queries: [[`max by (worker) (${of('lockstep_worker_silence_seconds')})`, '{{worker}}']],
      }),
    );
}

function eachWorker(board: DashboardBuilder): DashboardBuilder {
  return board.withRow(new RowBuilder('Time of each worker')).withPanel(
    graph({
      title: '$worker',
      description: "The worker's time by phase, as a share.",
      unit: 'percentunit',
      stacked: true,
      min: 0,
      max: 1,
      width: 6,
      repeat: 'worker',
      queries: [
        [
          `sum by (phase) (${rate('lockstep_worker_phase_seconds_total', 'worker=~"$worker"')}) / scalar(sum(${rate('lockstep_worker_phase_seconds_total', 'worker=~"$worker"')}))`,
          '{{phase}}',
        ],
      ],
    }),
  );
}

function work(board: DashboardBuilder): DashboardBuilder {
  return board
    .withRow(new RowBuilder('Work'))
    .withPanel(
      graph({
        title: 'Leases by outcome',
        description:
          'Leases that ended per second: covered (its gradient is in all sums), lost (with its worker), expired (somebody else tries as well), recalled (another was faster), dropped (the step moved on).',
        unit: 'ops',
        stacked: true,
        queries: [[`sum by (outcome) (${rate('lockstep_leases_total')})`, '{{outcome}}']],
      }),
    )
    .withPanel(
      graph({
        title: 'Lease time',
        description: 'Time from granting a lease to its coverage.',
        unit: 's',
        queries: [
          [quantile(0.5, 'lockstep_lease_duration_seconds'), 'median'],
          [quantile(0.95, 'lockstep_lease_duration_seconds'), '95 %'],
        ],
      }),
    )
    .withPanel(
      graph({
        title: 'Duplicated and late work',
        description:
          'Micro-batches per second that were computed in vain (duplicate, late), and leases of stragglers given to a second worker. Some are the price of not waiting for stragglers.',
        unit: 'ops',
        queries: [
          [
            `sum by (outcome) (${rate('lockstep_micro_batch_results_total', 'outcome!="first"')})`,
            '{{outcome}} micro-batches',
          ],
          [`sum(${rate('lockstep_leases_duplicated_total')})`, 'leases duplicated'],
        ],
      }),
    )
    .withPanel(
      graph({
        title: 'Audits',
        description:
          'Nodes per second that two workers computed and that were compared: equal, different (a worker was sent away), undecided (nobody was left to decide), abandoned (there was no second worker). Nothing unless the config sets audit.',
        unit: 'ops',
        stacked: true,
        queries: [[`sum by (outcome) (${rate('lockstep_audits_total')})`, '{{outcome}}']],
      }),
    );
}

function network(board: DashboardBuilder): DashboardBuilder {
  return board
    .withRow(new RowBuilder('Network and reducers'))
    .withPanel(
      graph({
        title: 'Tensors on the wire',
        description: 'Payload of gradients to the coordinator and of parameters from it.',
        unit: 'Bps',
        queries: [[`sum by (direction) (${rate('lockstep_transfer_bytes_total')})`, '{{direction}}']],
      }),
    )
    .withPanel(
      graph({
        title: 'Traffic of each worker',
        description: 'Gradients sent and parameters received.',
        unit: 'Bps',
        queries: [[`sum by (worker) (${rate('lockstep_worker_transfer_bytes_total')})`, '{{worker}}']],
      }),
    )
    .withPanel(
      graph({
        title: 'Damaged messages',
        description:
          'Messages whose checksum was wrong. There should be none: a network card, a cable or a memory module is bad.',
        unit: 'ops',
        thresholds: [
          [null, 'green'],
          [1e-9, 'red'],
        ],
        queries: [[`sum(${rate('lockstep_messages_rejected_total', 'fault="checksum"')})`, 'checksum wrong']],
      }),
    )
    .withPanel(
      graph({
        title: 'Busy reducers',
        description:
          'Share of its time that a reducer thread works: reduce (sum gradients, serve parameters) or update (AdamW). Near 1: raise reducers in the config.',
        unit: 'percentunit',
        min: 0,
        queries: [
          [
            `sum by (reducer, phase) (${rate('lockstep_reducer_busy_seconds_total')})`,
            '{{reducer}} {{phase}}',
          ],
        ],
      }),
    )
    .withPanel(
      graph({
        title: "Reducers' buffers",
        description:
          'Buffers for gradients that wait for their siblings and for parameters on their way out. They are kept for further use, so that free ones do not shrink.',
        unit: 'bytes',
        stacked: true,
        queries: [[`sum by (state) (${of('lockstep_reducer_buffer_bytes')})`, '{{state}}']],
      }),
    );
}

function processes(board: DashboardBuilder): DashboardBuilder {
  return board
    .withRow(new RowBuilder('Processes'))
    .withPanel(
      graph({
        title: 'Memory',
        description: 'Resident memory of the coordinator and of each worker.',
        unit: 'bytes',
        queries: [
          [of('process_resident_memory_bytes'), 'coordinator'],
          [`max by (worker) (${of('lockstep_worker_resident_memory_bytes')})`, '{{worker}}'],
        ],
      }),
    )
    .withPanel(
      graph({
        title: "Coordinator's event loop",
        description:
          'How late its main thread is. Beyond a tenth of heartbeat.timeoutMs it is overloaded: fewer, larger micro-batches help.',
        unit: 's',
        queries: [
          [of('nodejs_eventloop_lag_p50_seconds'), 'median'],
          [of('nodejs_eventloop_lag_p99_seconds'), '99 %'],
        ],
      }),
    )
    .withPanel(
      graph({
        title: "Coordinator's CPU",
        description: 'Cores that the coordinator uses, reducers included.',
        unit: 'none',
        decimals: 2,
        queries: [[rate('process_cpu_seconds_total'), 'cores']],
      }),
    );
}

function gpus(board: DashboardBuilder): DashboardBuilder {
  const perGpu = 'GPU {{gpu}} on {{Hostname}}';
  return board
    .withRow(new RowBuilder('GPUs of the workers (DCGM)'))
    .withPanel(
      graph({
        title: 'GPU use',
        description:
          "Share of the time in which a kernel ran, from NVIDIA's DCGM exporter on the workers' machines; empty without one.",
        unit: 'percent',
        min: 0,
        max: 100,
        width: 6,
        queries: [[onWorkersGpus('DCGM_FI_DEV_GPU_UTIL'), perGpu]],
      }),
    )
    .withPanel(
      graph({
        title: 'GPU memory',
        description: 'Framebuffer memory in use.',
        unit: 'mbytes',
        width: 6,
        queries: [[onWorkersGpus('DCGM_FI_DEV_FB_USED'), perGpu]],
      }),
    )
    .withPanel(
      graph({
        title: 'GPU power',
        description: 'Power draw. Far below its limit while busy: small matrices or waiting.',
        unit: 'watt',
        width: 6,
        queries: [[onWorkersGpus('DCGM_FI_DEV_POWER_USAGE'), perGpu]],
      }),
    )
    .withPanel(
      graph({
        title: 'GPU errors',
        description: "The last XID error's number; 0: none. NVIDIA's documentation lists what each means.",
        unit: 'none',
        width: 6,
        queries: [[onWorkersGpus('DCGM_FI_DEV_XID_ERRORS'), perGpu]],
      }),
    );
}

export function clusterDashboard(): DashboardBuilder {
  const board = dashboard(
    'lockstep-cluster',
    'Lockstep / Cluster',
    "Where workers' time goes, who is slow, what work is wasted, and what holds the others up.",
  ).withVariable(
    several(
      'worker',
      'Worker',
      'label_values(lockstep_worker_info{run="$run",instance=~"$instance"}, worker)',
    ),
  );
  return gpus(processes(network(work(eachWorker(workers(board))))));
}
