// The dashboard of faults: what went wrong, how often, and what it cost. None of it changes the trained weights.

import { RowBuilder, type DashboardBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboard, graph, increase, number, of } from './parts.js';

/** Green at none, then the colour. */
function none(colour: string): readonly (readonly [number | null, string])[] {
  return [
    [null, 'green'],
    [1, colour],
  ];
}

function summary(board: DashboardBuilder): DashboardBuilder {
  const overRange = (metric: string, matchers = ''): string =>
    `sum(increase(${of(metric, matchers)}[$__range]))`;
  const count = (title: string, description: string, expression: string, colour = 'yellow') =>
    number({
      title,
      description,
      unit: 'none',
      decimals: 0,
      thresholds: none(colour),
      queries: [[expression, title]],
    });
  return board
    .withRow(new RowBuilder('In the time shown'))
    .withPanel(
      count(
        'Workers lost',
        'Workers that left without saying so, or were sent away.',
        overRange('lockstep_workers_left_total', 'reason!="finished"'),
      ),
    )
    .withPanel(
      count(
        'Workers sent away',
        'Workers that computed other bits than the run, broke the protocol or could not work.',
        overRange('lockstep_workers_left_total', 'reason!~"finished|disconnected|silent"'),
        'red',
      ),
    )
    .withPanel(
      count(
        'Steps skipped',
        'Steps without an update: their gradient was not finite twice, or no token carried loss.',
        overRange('lockstep_steps_skipped_total'),
        'red',
      ),
    )
    .withPanel(
      count(
        'Steps done again',
        'Steps that a coordinator which died had done beyond its last checkpoint.',
        `sum(max_over_time(${of('lockstep_steps_repeated_total')}[$__range]))`,
      ),
    )
    .withPanel(
      count(
        'Checkpoints failed',
        'Checkpoints that could not be written; the log of the coordinator says why.',
        overRange('lockstep_checkpoints_total', 'outcome="failed"'),
        'red',
      ),
    )
    .withPanel(
      number({
        title: 'Term',
        description: 'Which coordinator of the run this is: every start takes the next number.',
        unit: 'none',
        queries: [[`max(${of('lockstep_term')})`, 'term']],
      }),
    )
    .withPanel(
      number({
        title: 'Coordinator up for',
        description: 'Time since the coordinator of the newest term started.',
        unit: 's',
        queries: [[`time() - max(${of('process_start_time_seconds')})`, 'up']],
      }),
    )
    .withPanel(
      number({
        title: 'Other bits',
        description:
          'Workers that joined and compute other bits than the first; only hardware: relaxed allows it.',
        unit: 'none',
        thresholds: none('yellow'),
        queries: [[`sum(${of('lockstep_workers_foreign_total')})`, 'workers']],
      }),
    );
}

function membership(board: DashboardBuilder): DashboardBuilder {
  return board
    .withRow(new RowBuilder('Workers'))
    .withPanel(
      graph({
        title: 'Workers here',
        description: 'Workers by state: joining (greeted, not attached yet), ready (may be given work).',
        unit: 'none',
        stacked: true,
        min: 0,
        queries: [[`sum by (state) (${of('lockstep_workers')})`, '{{state}}']],
      }),
    )
    .withPanel(
      graph({
        title: 'Joined',
        description: 'Workers that joined. Many for long: workers are crashing and started again.',
        unit: 'none',
        min: 0,
        queries: [[`sum(${increase('lockstep_workers_joined_total')})`, 'joined']],
      }),
    )
    .withPanel(
      graph({
        title: 'Left, by reason',
        description:
          'Workers that left. finished: in order. disconnected: its connection ended (crash, kill, network). silent: no heartbeat in time (overload, network). refused: it computes other bits. failed: it broke the protocol.',
        unit: 'none',
        min: 0,
        stacked: true,
        queries: [[`sum by (reason) (${increase('lockstep_workers_left_total')})`, '{{reason}}']],
      }),
    );
}

function work(board: DashboardBuilder): DashboardBuilder {
  return board
    .withRow(new RowBuilder('Work lost'))
    .withPanel(
      graph({
        title: 'Leases that were not covered',
        description:
          'Leases that ended in vain. lost: with their worker. expired: a second worker got the same. recalled: another was faster. dropped: the step was computed again.',
        unit: 'none',
        min: 0,
        stacked: true,
        queries: [
          [`sum by (outcome) (${increase('lockstep_leases_total', 'outcome!="covered"')})`, '{{outcome}}'],
        ],
      }),
    )
    .withPanel(
      graph({
        title: 'Messages rejected',
        description:
          'Messages of workers that were not taken. checksum: damaged on the way. malformed: against the protocol (another version, or a bug). stale: of a session or term that is over; some follow every worker that is lost.',
        unit: 'none',
        min: 0,
        queries: [[`sum by (fault) (${increase('lockstep_messages_rejected_total')})`, '{{fault}}']],
      }),
    )
    .withPanel(
      graph({
        title: 'Steps skipped',
        description:
          'Steps without an update. non_finite: the gradient was not finite in two computations; lower the learning rate, or look at the data. no_tokens: no target token carried loss.',
        unit: 'none',
        min: 0,
        queries: [[`sum by (reason) (${increase('lockstep_steps_skipped_total')})`, '{{reason}}']],
      }),
    );
}

function coordinator(board: DashboardBuilder): DashboardBuilder {
  return board
    .withRow(new RowBuilder('Coordinator and checkpoints'))
    .withPanel(
      graph({
        title: 'Term',
        description: 'Rises by one with every start of a coordinator.',
        unit: 'none',
        decimals: 0,
        queries: [[`max(${of('lockstep_term')})`, 'term']],
      }),
    )
    .withPanel(
      graph({
        title: 'Checkpoints by outcome',
        description: 'Checkpoints that ended: written, or failed (disk full, storage away).',
        unit: 'none',
        min: 0,
        queries: [[`sum by (outcome) (${increase('lockstep_checkpoints_total')})`, '{{outcome}}']],
      }),
    )
    .withPanel(
      graph({
        title: 'Room for checkpoints',
        description: "Share of the file system that is free where the run's directory lies.",
        unit: 'percentunit',
        min: 0,
        max: 1,
        thresholds: [
          [null, 'red'],
          [0.1, 'green'],
        ],
        queries: [
          [`min(${of('lockstep_storage_free_bytes')} / ${of('lockstep_storage_size_bytes')})`, 'free'],
        ],
      }),
    );
}

export function faultsDashboard(): DashboardBuilder {
  const board = dashboard(
    'lockstep-faults',
    'Lockstep / Faults',
    'What went wrong, how often, and what it cost. None of it changes the trained weights.',
  );
  return coordinator(work(membership(summary(board))));
}
