// Alerts and dashboards against a real Prometheus (Debian's package `prometheus`): rules in promtool's unit tests, and
// every query on the metrics of a run that trains meanwhile.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { packageRoot } from '../../src/util/package.js';
import { prepareWords } from '../support/small-data.js';
import { atEnd, temporaryDirectory } from '../support/temporary-directory.js';
import { dashboardNames, dashboardQueries, fillIn, readAlerts, sides, type Query } from './queries.js';

const FOLDER = `${packageRoot}deploy/prometheus/`;
const RUN = 'watched';
/** Long enough that some step, evaluation and checkpoint lie in it on a slow machine. */
const RANGE = '1m';
const DEADLINE_MS = 90_000;
const METRICS = /\(metrics: (\S+)\)$/;

/** Queries that say nothing of a healthy run on this machine, each with the reason. */
const EXCEPTIONS: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  { pattern: /DCGM_/, reason: 'needs an NVIDIA GPU and its exporter' },
];

const run = promisify(execFile);

/** What `tool --version` says; null, and the test is skipped, where it is missing. */
async function has(t: TestContext, tool: string): Promise<boolean> {
  try {
    await run(tool, ['--version']);
    return true;
  } catch {
    t.skip(`${tool} is missing: apt-get install prometheus`);
    return false;
  }
}

test('promtool finds the configuration and the rules right, and each alert fires when it should and only then', async (t) => {
  if (!(await has(t, 'promtool'))) return;
  await run('promtool', ['check', 'config', `${FOLDER}prometheus.yml`]);
  await run('promtool', ['test', 'rules', `${FOLDER}alerts.test.yml`]);
});

test('every alert is seen firing in a unit test', async () => {
  const tests = await readFile(`${FOLDER}alerts.test.yml`, 'utf8');
  const untested = readAlerts().filter(({ alert }) => !tests.includes(`alertname="${alert}"`));
  assert.deepEqual(untested, []);
});

test('every alert says how bad it is, what happened, and where to read on', async () => {
  const page = await readFile(`${packageRoot}docs/monitoring.md`, 'utf8');
  for (const { alert, labels, annotations } of readAlerts()) {
    assert.match(labels.severity, /^(warning|critical)$/, alert);
    assert.ok(annotations['summary'] && annotations['description'], alert);
    assert.equal(annotations['runbook'], `docs/monitoring.md#${alert.toLowerCase()}`);
    assert.ok(page.includes(`### ${alert}\n`), `docs/monitoring.md has no heading ${alert}`);
  }
});

interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

/** A Prometheus with the rules of deploy/ that scrapes one address every other second. */
async function startPrometheus(t: TestContext, folder: string, target: string): Promise<string> {
  const config = parse(await readFile(`${FOLDER}prometheus.yml`, 'utf8')) as Record<string, unknown>;
  const file = path.join(folder, 'prometheus.yml');
  const scrape = { job_name: 'lockstep', static_configs: [{ targets: [target] }] };
  await writeFile(
    file,
    stringify({
      ...config,
      global: { scrape_interval: '2s', scrape_timeout: '2s', evaluation_interval: '2s' },
      rule_files: [`${FOLDER}alerts.yml`],
      scrape_configs: [scrape],
    }),
  );
  const child = spawn(
    'prometheus',
    [
      `--config.file=${file}`,
      `--storage.tsdb.path=${path.join(folder, 'tsdb')}`,
      '--web.listen-address=127.0.0.1:0',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  atEnd(t, () => child.kill('SIGKILL'));
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    lines.push(line);
    const [, address] = /msg="Listening on" address=(\S+)/.exec(line) ?? [];
    if (address === undefined) continue;
    child.stderr.resume();
    return `http://${address}`;
  }
  throw new Error(`prometheus ended: ${lines.join('\n')}`);
}

async function ask(prometheus: string, expression: string): Promise<Sample[]> {
  const response = await fetch(`${prometheus}/api/v1/query?query=${encodeURIComponent(expression)}`);
  const answer = (await response.json()) as {
    status: string;
    error?: string;
    data?: { resultType: string; result: Sample[] | Sample['value'] };
  };
  assert.equal(answer.status, 'success', `${expression}: ${answer.error}`);
  const { resultType, result } = answer.data!;
  return resultType === 'scalar' ? [{ metric: {}, value: result as Sample['value'] }] : (result as Sample[]);
}

function hasData(samples: readonly Sample[]): boolean {
  return samples.some(({ value }) => value[1] !== 'NaN');
}

/** Asks again and again until each query has an answer with data; returns those that have none at the deadline. */
async function unanswered(prometheus: string, queries: readonly Query[]): Promise<Query[]> {
  const deadline = performance.now() + DEADLINE_MS;
  let waiting = [...queries];
  while (waiting.length > 0 && performance.now() < deadline) {
    const still: Query[] = [];
    for (const query of waiting) if (!hasData(await ask(prometheus, query.expression))) still.push(query);
    waiting = still;
    await delay(250); // until the next scrape
  }
  return waiting;
}

/** A run of two workers that goes on until it is stopped. Returns where its metrics are. */
async function startRun(t: TestContext, folder: string): Promise<string> {
  await prepareWords(folder, { words: 5000, distinctWords: 101, vocabularySize: 500, validationShare: 0.2 });
  const config = `
name: ${RUN}
data: ./data
tracking: { samples: 0 }
model: { width: 16, heads: 2, feedForward: 32, encoderLayers: 1, decoderLayers: 1, maxLength: 32 }
window: 24
batch: { microBatches: 4, samples: 2 }
steps: 1000000
evaluate: { every: 10, batches: 2 }
checkpoint: { every: 10, keepLast: 1, keepBest: false }
worker: { threads: 1 }
heartbeat: { intervalMs: 200, timeoutMs: 30000 }
`;
  await writeFile(path.join(folder, 'run.yaml'), config);
  const training = new LockstepProcess(['train', 'run.yaml', '--workers', '2', '--http', '127.0.0.1:0'], {
    cwd: folder,
  });
  atEnd(t, async () => {
    training.kill('SIGINT');
    await training.exit();
  });
  return new URL(await training.told('where its metrics are', METRICS)).host;
}

test('every panel and every alert finds data in a run of two workers', { timeout: 180_000 }, async (t) => {
  if (!(await has(t, 'prometheus'))) return;
  const folder = await temporaryDirectory(t);
  const target = await startRun(t, folder);
  const prometheus = await startPrometheus(t, folder, target);
  const queries = [
    ...dashboardNames.flatMap(dashboardQueries),
    ...readAlerts().flatMap(({ alert, expr }) =>
      sides(expr).map((expression) => ({ where: `alert ${alert}`, expression })),
    ),
  ].map(({ where, expression }) => ({ where, expression: fillIn(expression, RUN, RANGE) }));
  const isException = ({ expression }: Query): boolean =>
    EXCEPTIONS.some(({ pattern }) => pattern.test(expression));

  const silent = await unanswered(
    prometheus,
    queries.filter((query) => !isException(query)),
  );
  assert.deepEqual(silent, []);
  for (const query of queries.filter(isException)) await ask(prometheus, query.expression);
  await assertRulesHealthy(prometheus);
});

/** Whole expressions, as Prometheus evaluates them: without an error, and with nothing to tell of a healthy run. */
async function assertRulesHealthy(prometheus: string): Promise<void> {
  const response = await fetch(`${prometheus}/api/v1/rules`);
  const { data } = (await response.json()) as {
    data: { groups: { rules: { name: string; health: string; lastError?: string; state: string }[] }[] };
  };
  const rules = data.groups.flatMap((group) => group.rules);
  assert.equal(rules.length, readAlerts().length);
  assert.deepEqual(
    rules.filter(({ health }) => health !== 'ok'),
    [],
  );
  assert.deepEqual(
    rules.filter(({ state }) => state === 'firing').map(({ name }) => name),
    [],
  );
}
