// Who may take part, and who is taken for gone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Driver } from './driver.js';

function arrive(run: Driver, session: string, fingerprint: string): void {
  run.say({ type: 'hello', session, name: session, host: 'here', key: null });
  run.say({ type: 'ready', session, fingerprint });
}

test('a worker is leased nothing before it is ready', () => {
  const run = new Driver();
  run.say({ type: 'hello', session: 'a', name: 'a', host: 'here', key: null });
  assert.deepEqual(
    run.every('welcome').map(({ session }) => session),
    ['a'],
  );
  assert.equal(run.leases.length, 0);
});

test('a strict run turns away a worker that computes other bits, for good', () => {
  const run = new Driver();
  arrive(run, 'a', 'avx512');
  arrive(run, 'b', 'avx2');
  assert.deepEqual(
    run.every('dismiss').map(({ session, outcome }) => ({ session, outcome })),
    [{ session: 'b', outcome: 'refused' }],
  );
  assert.match(run.last('dismiss')!.reason, /avx2.*avx512/);
  assert.deepEqual(
    run.machine.state.sessions.map(({ id }) => id),
    ['a'],
  );
});

test('a relaxed run takes it, says so and counts it', () => {
  const run = new Driver({ hardware: 'relaxed' });
  arrive(run, 'a', 'avx512');
  arrive(run, 'b', 'avx2');
  assert.equal(run.every('dismiss').length, 0);
  assert.ok(run.every('log').some(({ level, message }) => level === 'warn' && message.includes('avx2')));
  assert.equal(run.every('event').filter(({ event }) => event.kind === 'foreignWorker').length, 1);
});

test('a resumed run holds workers to the fingerprint it was saved with', () => {
  const run = new Driver({}, { version: 4, fingerprint: 'avx512' }, true);
  arrive(run, 'a', 'avx2');
  assert.equal(run.every('dismiss').length, 1);
});

test('a worker that is silent for the timeout is gone, one that is heard is not', () => {
  const run = new Driver();
  run.join('quiet', 'lively');
  run.wait(4750, 'lively');
  assert.equal(run.every('dismiss').length, 0);
  run.wait(500, 'lively');
  assert.deepEqual(
    run.every('dismiss').map(({ session, outcome }) => ({ session, outcome })),
    [{ session: 'quiet', outcome: 'lost' }],
  );
  assert.deepEqual(
    run.machine.state.sessions.map(({ id }) => id),
    ['lively'],
  );
});

test('a greeted worker that never gets ready is given up as well', () => {
  const run = new Driver();
  run.say({ type: 'hello', session: 'a', name: 'a', host: 'here', key: null });
  run.wait(6000);
  assert.equal(run.machine.state.sessions.length, 0);
});

test('after the coordinator itself stood still, nobody is gone for that silence', () => {
  const run = new Driver();
  run.join('a');
  run.wait(1000, 'a');
  run.now += 60_000;
  run.say({ type: 'tick' });
  assert.equal(run.machine.state.sessions.length, 1);
  run.wait(6500);
  assert.equal(run.machine.state.sessions.length, 0);
});

test('a heartbeat is answered with its number, and only to those who are here', () => {
  const run = new Driver();
  run.join('a');
  run.heartbeat('a');
  run.heartbeat('nobody');
  assert.deepEqual(run.every('heartbeat'), [{ type: 'heartbeat', session: 'a', sequence: 1, echo: 1 }]);
});

test('a worker that is lost is told of once: by an event, and in the log below what is shown by default', () => {
  const run = new Driver();
  run.join('a');
  run.wait(6000);
  const left = run.every('event').flatMap(({ event }) => (event.kind === 'workerLeft' ? [event.reason] : []));
  assert.deepEqual(left, ['silent']);
  const logged = run.every('log').filter(({ message }) => message.includes(' left: '));
  assert.deepEqual(
    logged.map(({ level }) => level),
    ['info'],
  );
});

test('a session that ends twice ends once', () => {
  const run = new Driver();
  run.join('a');
  run.leave('a');
  run.leave('a');
  const left = run.every('event').filter(({ event }) => event.kind === 'workerLeft');
  assert.equal(left.length, 1);
});

test('who is here and what everybody does is told once a second, and when somebody comes or goes', () => {
  const run = new Driver();
  const reports = () => run.every('event').flatMap(({ event }) => (event.kind === 'workers' ? [event] : []));
  run.join('a');
  assert.deepEqual(
    reports()
      .at(-1)
      ?.workers.map(({ name, state }) => [name, state]),
    [['a', 'ready']],
  );
  run.wait(1000);
  const before = reports().length;
  run.wait(3000, 'a');
  assert.equal(reports().length - before, 3);
  const [worker] = reports().at(-1)!.workers;
  assert.equal(worker!.phase, 'idle');
  assert.equal(worker!.silentSeconds, 0);
  assert.ok(worker!.leases.length > 0);
  run.leave('a');
  assert.deepEqual(reports().at(-1)?.workers, []);
});
