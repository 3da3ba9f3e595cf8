// docs/monitoring.md against the registries: every metric is described, in the words of its help, and no other.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createCoordinatorMetrics } from '../../src/metrics/coordinator-metrics.js';
import type { Metrics } from '../../src/metrics/metrics.js';
import { createWorkerMetrics } from '../../src/metrics/worker-metrics.js';
import { packageRoot } from '../../src/util/package.js';
import { runStarted } from '../metrics/events.js';

const page = readFileSync(`${packageRoot}docs/monitoring.md`, 'utf8');

interface Registered {
  readonly labelNames: readonly string[];
}

/** The rows that the table of these metrics must have. */
async function rowsOf({ registry }: Metrics): Promise<string[]> {
  const metrics = (await registry.getMetricsAsJSON()).filter(({ name }) => name.startsWith('lockstep_'));
  return metrics.map(({ name, help, type }) => {
    const { labelNames } = registry.getSingleMetric(name) as unknown as Registered;
    const labels = labelNames.filter((label) => label !== 'le').map((label) => `\`${label}\``);
    return `| \`${name}\` | ${String(type)} | ${labels.join(', ')} | ${help} |`.replace(/ +/g, ' ');
  });
}

/** The rows of the table below a heading, with single spaces. */
function rowsBelow(heading: string): string[] {
  const [, rest = ''] = page.split(`### ${heading}\n`);
  const [section = ''] = rest.split(/^#/m);
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.replace(/ +/g, ' '));
}

for (const [which, metrics] of [
  [
    'Of a coordinator',
    createCoordinatorMetrics({ run: runStarted, measureRoom: () => Promise.resolve(null) }),
  ],
  ['Of a worker', createWorkerMetrics()],
] as const) {
  test(`the table "${which}" has every metric, and says of it what the metric says`, async () => {
    assert.deepEqual(rowsBelow(which).sort(), (await rowsOf(metrics)).sort());
  });
}
