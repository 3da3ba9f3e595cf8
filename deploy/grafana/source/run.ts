// The dashboard of one run: does it learn, how fast, how far is it, and what would a crash lose.

import { RowBuilder, type DashboardBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboard, graph, mean, number, of, quantile, rate } from './parts.js';

/** Over ten minutes, so that a single slow step does not move the estimate. */
const STEPS_PER_SECOND = `sum(rate(${of('lockstep_step_duration_seconds_count')}[10m]))`;
const GOODPUT = `sum(${rate('lockstep_micro_batches_trained_total')}) / sum(${rate('lockstep_micro_batches_computed_total')})`;

function progress(board: DashboardBuilder): DashboardBuilder {
  return board
    .withRow(new RowBuilder('Progress'))
    .withPanel(
      number({
        title: 'Steps',
        description: 'Steps completed, as a share of those planned.',
        unit: 'percentunit',
        decimals: 1,
        queries: [
          [`max(${of('lockstep_parameter_version')}) / max(${of('lockstep_steps_planned')})`, 'done'],
        ],
      }),
    )
    .withPanel(
      number({
        title: 'Time left',
        description: 'Steps that are left, at the pace of the last ten minutes, evaluations included.',
        unit: 's',
        queries: [
          [
            `(max(${of('lockstep_steps_planned')}) - max(${of('lockstep_parameter_version')})) / ${STEPS_PER_SECOND}`,
            'time left',
          ],
        ],
      }),
    )
    .withPanel(
      number({
        title: 'Loss',
        description: 'Cross-entropy of the latest step, in nats per target token.',
        unit: 'none',
        decimals: 3,
        queries: [[`max(${of('lockstep_loss_nats', 'split="train"')})`, 'loss']],
      }),
    )
    .withPanel(
      number({
        title: 'Validation loss',
        description: 'Cross-entropy of the latest evaluation on held-out data, in nats per target token.',
        unit: 'none',
        decimals: 3,
        queries: [[`max(${of('lockstep_loss_nats', 'split="validation"')})`, 'validation loss']],
      }),
    )
    .withPanel(
      number({
        title: 'Tokens per second',
        description: 'Source and target tokens of committed steps.',
        unit: 'short',
        queries: [[`sum(${rate('lockstep_tokens_total')})`, 'tokens/s']],
      }),
    )
    .withPanel(
      number({
        title: 'Goodput',
        description:
          'Micro-batches whose gradients entered the weights, as a share of those computed. Lost, duplicated and repeated work lowers it; the dashboard of the cluster says which.',
        unit: 'percentunit',
        decimals: 1,
        thresholds: [
          [null, 'red'],
          [0.8, 'yellow'],
          [0.95, 'green'],
        ],
        queries: [[GOODPUT, 'goodput']],
      }),
    )
    .withPanel(
      number({
        title: 'Workers',
        description: 'Workers that may be given work.',
        unit: 'none',
        thresholds: [
          [null, 'red'],
          [1, 'green'],
        ],
        queries: [[`sum(${of('lockstep_workers', 'state="ready"')})`, 'workers']],
      }),
    )
    .withPanel(
      number({
        title: 'Checkpoint age',
        description: 'Time since the newest checkpoint was finished: what a crash now would lose.',
        unit: 's',
        queries: [[`min(${of('lockstep_checkpoint_age_seconds')})`, 'age']],
      }),
    );
}

function learning(board: DashboardBuilder): DashboardBuilder {
  return board
    .withRow(new RowBuilder('Learning'))
    .withPanel(
      graph({
        title: 'Loss',
        description:
          'Cross-entropy in nats per target token: of each step, its mean over five minutes, and of evaluations. A rising validation loss beside a falling one in training is overfitting.',
        unit: 'none',
        decimals: 3,
        width: 16,
        queries: [
          [`max(${of('lockstep_loss_nats', 'split="train"')})`, 'training'],
          [`max(avg_over_time(${of('lockstep_loss_nats', 'split="train"')}[5m]))`, 'training, 5 min'],
          [`max(${of('lockstep_loss_nats', 'split="validation"')})`, 'validation'],
        ],
      }),
    )
    .withPanel(
      graph({
        title: 'Accuracy',
        description: 'Share of target tokens whose largest logit was right.',
        unit: 'percentunit',
        min: 0,
        queries: [[`max by (split) (${of('lockstep_accuracy_ratio')})`, '{{split}}']],
      }),
    )
    .withPanel(
      graph({
        title: 'Gradient norm',
        description:
          "L2 norm of the step's mean gradient before clipping, and the norm it is clipped to. A norm that grows for many steps comes before a diverging loss.",
        unit: 'none',
        decimals: 3,
        queries: [
          [`max(${of('lockstep_gradient_norm')})`, 'gradient norm'],
          [`max(${of('lockstep_gradient_clip_norm')}) < +Inf`, 'clipped to'],
        ],
      }),
    )
    .withPanel(
      graph({
        title: 'Steps clipped',
        description: 'Share of committed steps whose gradient was scaled down to the clip norm.',
        unit: 'percentunit',
        min: 0,
        max: 1,
        queries: [
          [
            `sum(${rate('lockstep_gradient_clips_total')}) / sum(${rate('lockstep_steps_committed_total')})`,
            'clipped',
          ],
        ],
      }),
    )
    .withPanel(
      graph({
        title: 'Learning rate',
        description: 'Learning rate of the latest step, as the schedule says.',
        unit: 'sci',
        queries: [[`max(${of('lockstep_learning_rate')})`, 'learning rate']],
      }),
    );
}

function speed(board: DashboardBuilder): DashboardBuilder {
  return board
    .withRow(new RowBuilder('Speed'))
    .withPanel(
      graph({
        title: 'Throughput',
        description:
          'Tokens of committed steps per second: source, those the encoder read; target, those that carried loss.',
        unit: 'short',
        stacked: true,
        queries: [[`sum by (side) (${rate('lockstep_tokens_total')})`, '{{side}}']],
      }),
    )
    .withPanel(
      graph({
        title: 'Step time',
        description: 'Time from the start of a step to its commit, evaluations not included.',
        unit: 's',
        queries: [
          [mean('lockstep_step_duration_seconds'), 'mean'],
          [quantile(0.5, 'lockstep_step_duration_seconds'), 'median'],
          [quantile(0.95, 'lockstep_step_duration_seconds'), '95 %'],
        ],
      }),
    )
    .withPanel(
      graph({
        title: 'Goodput',
        description:
          'Micro-batches whose gradients entered the weights, as a share of those that workers computed. Evaluations count for neither.',
        unit: 'percentunit',
        min: 0,
        max: 1.05,
        queries: [[GOODPUT, 'goodput']],
      }),
    )
    .withPanel(
      graph({
        title: 'Time by what it went to',
        description: 'Share of the time in steps and in evaluations; what is missing to 1 is neither.',
        unit: 'percentunit',
        stacked: true,
        queries: [
          [`sum(${rate('lockstep_step_duration_seconds_sum')})`, 'steps'],
          [`sum(${rate('lockstep_evaluation_duration_seconds_sum')})`, 'evaluations'],
        ],
      }),
    );
}

function checkpoints(board: DashboardBuilder): DashboardBuilder {
  return board
    .withRow(new RowBuilder('Checkpoints'))
    .withPanel(
      graph({
        title: 'Checkpoint age',
        description:
          'Time since the newest checkpoint was finished, and the time between two at the present pace. The age should fall to zero at about that height.',
        unit: 's',
        min: 0,
        queries: [
          [`min(${of('lockstep_checkpoint_age_seconds')})`, 'age'],
          [
            `max(${of('lockstep_checkpoint_interval_steps')}) * ${mean('lockstep_step_duration_seconds')}`,
            'interval',
          ],
        ],
      }),
    )
    .withPanel(
      graph({
        title: 'Time to write a checkpoint',
        description: 'From the snapshot of the parameters to the manifest. Steps go on meanwhile.',
        unit: 's',
        queries: [
          [
            `sum(${of('lockstep_checkpoint_duration_seconds_sum')}) / (sum(${of('lockstep_checkpoint_duration_seconds_count')}) > 0)`,
            'mean of all',
          ],
          [mean('lockstep_checkpoint_duration_seconds'), 'mean of late'],
        ],
      }),
    )
    .withPanel(
      graph({
        title: 'Size and room',
        description: 'Size of the newest checkpoint, and what is free on the file system of the run.',
        unit: 'bytes',
        queries: [
          [`max(${of('lockstep_checkpoint_size_bytes')})`, 'checkpoint'],
          [`min(${of('lockstep_storage_free_bytes')})`, 'free'],
        ],
      }),
    );
}

export function runDashboard(): DashboardBuilder {
  const board = dashboard(
    'lockstep-run',
    'Lockstep / Run',
    'Whether a run learns, how fast, how far it is, and what a crash would lose.',
  );
  return checkpoints(speed(learning(progress(board))));
}
