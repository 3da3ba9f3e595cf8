import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { Registry } from 'prom-client';
import { LiveFeed } from '../../src/live/feed.js';
import { emptyView, fold, type RunView, type TimedEvent } from '../../src/live/run-view.js';
import { livePages } from '../../src/live/site.js';
import { readEvents, type ServerEvent } from '../../src/live/event-source.js';
import { startHttp } from '../../src/metrics/http.js';
import { committed, runStarted } from '../metrics/events.js';

async function serve(t: TestContext, incarnation = '1') {
  const feed = new LiveFeed(emptyView, incarnation);
  const healthy = () => null;
  const options = { port: 0, registry: new Registry(), alive: healthy, ready: healthy };
  const server = await startHttp({ ...options, pages: livePages(feed) });
  t.after(() => {
    feed.close();
    return server.close();
  });
  return { feed, url: server.url };
}

const step = (number: number): TimedEvent => ({ ...committed(number), time: 1000 + number });

/** The next `count` events of a stream. */
async function take(events: AsyncGenerator<ServerEvent>, count: number): Promise<ServerEvent[]> {
  const taken: ServerEvent[] = [];
  while (taken.length < count) {
    const next = await events.next();
    if (next.done) assert.fail('the stream ended');
    taken.push(next.value);
  }
  return taken;
}

test('a client gets the view, then what happens, and arrives at the same view', async (t) => {
  const { feed, url } = await serve(t);
  feed.on({ ...runStarted, time: 999 });
  feed.on(step(0));
  const events = readEvents(`${url}/api/events`);
  const [first] = await take(events, 1);
  feed.on(step(1));
  feed.on({ kind: 'heartbeat', seconds: 1, time: 1001 });
  feed.on(step(2));
  const rest = await take(events, 2);
  assert.deepEqual(
    [first!.name, ...rest.map(({ name }) => name)],
    ['view', 'stepCommitted', 'stepCommitted'],
  );
  const view = rest.reduce((folded, { data }) => fold(folded, data as TimedEvent), first!.data as RunView);
  assert.deepEqual(view, feed.view);
  assert.deepEqual(await (await fetch(`${url}/api/run`)).json(), feed.view);
  await events.return(undefined);
});

test('who comes back gets what it missed, and the whole view where that is not known any more', async (t) => {
  const { feed, url } = await serve(t, '7');
  for (let i = 0; i < 600; i++) feed.on(step(i));
  const firstAfter = async (lastEventId: string): Promise<string> => {
    const events = readEvents(`${url}/api/events`, { lastEventId });
    const [{ name, id }] = (await take(events, 1)) as [ServerEvent];
    await events.return(undefined);
    return `${name} ${id}`;
  };
  assert.equal(await firstAfter('7.598'), 'stepCommitted 7.599');
  assert.equal(await firstAfter('7.100'), 'stepCommitted 7.101');
  assert.equal(await firstAfter('7.99'), 'view 7.600');
  assert.equal(await firstAfter('6.598'), 'view 7.600', 'of the coordinator before');
  assert.equal(await firstAfter('7.601'), 'view 7.600', 'from the future');
  assert.equal(await firstAfter('nonsense'), 'view 7.600');
});

test('a client that reads nothing is let go, and nobody else notices', { timeout: 20_000 }, async (t) => {
  const { feed, url } = await serve(t);
  const slow = connect(Number(new URL(url).port), '127.0.0.1');
  slow.on('error', () => {});
  slow.write('GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(slow, 'readable'); // it is connected, and never reads
  const events = readEvents(`${url}/api/events`);
  await take(events, 1);
  // More than the sockets' buffers of any system hold, in pieces that a client that reads keeps up with.
  const reason = 'x'.repeat(10_000);
  for (let megabytes = 0; megabytes < 16; megabytes += 0.5) {
    for (let i = 0; i < 50; i++) feed.on({ kind: 'checkpointFailed', step: i, reason, time: 0 });
    await take(events, 50);
  }
  slow.resume();
  await once(slow, 'close');
  await events.return(undefined);
});

test('the end of the feed ends its connections', async (t) => {
  const { feed, url } = await serve(t);
  const events = readEvents(`${url}/api/events`);
  await take(events, 1);
  feed.on({ kind: 'runEnded', reason: 'completed', detail: '', time: 1 });
  feed.close();
  assert.equal((await take(events, 1))[0]!.name, 'runEnded');
  assert.equal((await events.next()).done, true);
});
