import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Mlflow, type MlflowOptions } from '../../../src/metrics/tracking/mlflow.js';
import { MlflowClient, type MlflowCredentials } from '../../../src/metrics/tracking/mlflow-client.js';
import { committed, evaluated, runStarted } from '../events.js';
import { MlflowServer } from './mlflow-server.js';

function track(
  server: MlflowServer,
  changes: Partial<MlflowOptions> = {},
  credentials: MlflowCredentials = {},
): { mlflow: Mlflow; told: string[] } {
  const told: string[] = [];
  const mlflow = new Mlflow({
    client: new MlflowClient(server.url, credentials),
    experiment: 'books',
    run: runStarted,
    parameters: { 'model.width': '256', data: 'x'.repeat(2000) },
    onFailure: (message) => void told.push(message),
    timing: { intervalMs: 5, firstRetryMs: 5 },
    ...changes,
  });
  return { mlflow, told };
}

function stepsOf(server: MlflowServer, key: string): number[] {
  return server.runs.flatMap(({ metrics }) =>
    metrics.filter((metric) => metric.key === key).map(({ step }) => step),
  );
}

test('a run is an MLflow run with its config as parameters and every step as metrics, ended as it ended', async (t) => {
  const server = await MlflowServer.start(t);
  const { mlflow, told } = track(server);
  for (let step = 0; step < 400; step++) mlflow.on(committed(step)); // more numbers than one call may hold
  mlflow.on(evaluated(400));
  mlflow.on({ kind: 'runEnded', reason: 'completed', detail: '' });
  await mlflow.close();
  assert.deepEqual([told, server.faults], [[], []]);
  assert.deepEqual([...server.experiments.keys()], ['books']);
  const [run] = server.runs;
  assert.deepEqual(
    stepsOf(server, 'train/loss'),
    Array.from({ length: 400 }, (_, i) => i + 1),
  );
  assert.deepEqual(stepsOf(server, 'validation/loss'), [400]);
  assert.equal(run!.params.find(({ key }) => key === 'model.width')?.value, '256');
  assert.equal(run!.params.find(({ key }) => key === 'data')?.value.length, 500);
  assert.deepEqual(run!.statuses, ['FINISHED']);
});

test('a coordinator that goes on with a run goes on with its MLflow run', async (t) => {
  const server = await MlflowServer.start(t);
  for (const [step, reason] of [
    [0, 'stopped'],
    [1, 'completed'],
  ] as const) {
    const { mlflow } = track(server);
    mlflow.on(committed(step));
    mlflow.on({ kind: 'runEnded', reason, detail: '' });
    await mlflow.close();
  }
  assert.equal(server.runs.length, 1);
  assert.deepEqual(server.runs[0]!.statuses, ['KILLED', 'RUNNING', 'FINISHED']);
  assert.deepEqual(stepsOf(server, 'train/loss'), [1, 2]);
});

test('a server that is away for a while misses nothing', async (t) => {
  const server = await MlflowServer.start(t);
  let asked = 0;
  server.failure = () => (++asked <= 3 || asked === 8 ? 503 : undefined);
  const { mlflow, told } = track(server);
  for (let step = 0; step < 5; step++) mlflow.on(committed(step));
  await server.until(() => stepsOf(server, 'train/loss').length === 5);
  await mlflow.close();
  assert.deepEqual(stepsOf(server, 'train/loss'), [1, 2, 3, 4, 5]);
  assert.match(told[0]!, /^MLflow does not answer, trying again: .*503/);
});

test('a server that cannot be reached is told of with the reason', async (t) => {
  const server = await MlflowServer.start(t);
  await server.stop();
  const { mlflow, told } = track(server);
  await mlflow.close();
  const { port } = new URL(server.url);
  assert.deepEqual(told, [`MLflow is told no more of this run: connect ECONNREFUSED 127.0.0.1:${port}`]);
});

test('what the server refuses is told and not tried again, and later numbers go out', async (t) => {
  const server = await MlflowServer.start(t);
  let refused = 0;
  server.failure = (path) =>
    path === 'runs/log-batch' && server.runs[0]!.params.length > 0 && refused++ === 0 ? 400 : undefined;
  const { mlflow, told } = track(server);
  mlflow.on(committed(0));
  await server.until(() => refused > 0);
  mlflow.on(committed(1));
  await server.until(() => stepsOf(server, 'train/loss').length > 0);
  await mlflow.close();
  assert.deepEqual(stepsOf(server, 'train/loss'), [2]);
  assert.deepEqual(
    told.map((message) => /^MLflow refused \d+ numbers: .*400 no$/.test(message)),
    [true],
  );
});

test('a server that never answers neither holds numbers without bound nor keeps a run from ending', async (t) => {
  const server = await MlflowServer.start(t);
  server.failure = () => 503;
  const { mlflow, told } = track(server, { timing: { intervalMs: 5, firstRetryMs: 60_000 } });
  await server.until(() => server.authorizations.size > 0);
  for (let step = 0; step < 20_000; step++) mlflow.on(committed(step));
  await mlflow.close();
  assert.ok(told.includes('MLflow does not keep up: its oldest numbers are dropped'));
  assert.match(told.at(-1)!, /^MLflow is told no more of this run: /);
});

test('a token, or a name and password, of the environment let the run in', async (t) => {
  const server = await MlflowServer.start(t);
  for (const credentials of [{ token: 'secret' }, { username: 'anna', password: 'p' }, {}]) {
    await track(server, {}, credentials).mlflow.close();
  }
  assert.deepEqual([...server.authorizations], ['Bearer secret', 'Basic YW5uYTpw', undefined]);
});
