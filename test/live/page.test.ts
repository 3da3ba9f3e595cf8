// The live page in a browser (Debian's package `chromium`), on a run of two workers one of which is killed, and the
// coordinator after it.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { chromium, type Page } from 'playwright-core';
import type { RunView } from '../../src/live/run-view.js';
import { startLiveRun } from './live-run.js';

const CHROMIUM = '/usr/bin/chromium';
/** What it would ask of other hosts by itself is off. */
const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const DEADLINE_MS = 60_000;
const PHONE = { width: 375, height: 812 };

/** A page that writes down what it should not do. */
async function openPage(t: TestContext, url: string): Promise<{ page: Page; faults: string[] }> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: QUIET });
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(DEADLINE_MS);
  const faults: string[] = [];
  await page.route('**/*', async (route) => {
    const asked = route.request().url();
    if (new URL(asked).origin === url) return route.continue();
    faults.push(`asks another host: ${asked}`);
    return route.abort();
  });
  page.on('pageerror', ({ message }) => faults.push(`throws: ${message}`));
  page.on('response', (response) => {
    if (response.status() >= 400) faults.push(`gets ${response.status()}: ${response.url()}`);
  });
  // What the policy forbids is written there too.
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(`says: ${message.text()}`);
  });
  await page.goto(url);
  return { page, faults };
}

/** Has the page's own module follow the feed once more; resolves with what it folded once a later coordinator made a step. */
async function followInPage(page: Page): Promise<() => Promise<RunView>> {
  const followed = await page.evaluateHandle<{ view: RunView | null }>(
    `import('/page/connection.js').then(({ follow }) => {
      const followed = { view: null };
      follow((view) => (followed.view = view), () => {});
      return followed;
    })`,
  );
  return async () => {
    const found = await page.waitForFunction(
      ({ view }) => view?.run && view.run.term > 1 && view.version > view.run.version && view,
      followed,
    );
    return (await found.jsonValue()) as RunView;
  };
}

function assertRising(steps: readonly number[], upTo: number): void {
  assert.ok(steps.length > 2);
  assert.deepEqual(
    steps.filter((step, i) => i > 0 && step <= steps[i - 1]!),
    [],
    'each step is on the curve once',
  );
  assert.ok(steps.at(-1)! <= upTo, `${steps.at(-1)} of ${upTo}`);
}

test(
  'the live page shows a run, the death of a worker and of the coordinator, goes on with the next one, shows the end, and asks no other host',
  {
    skip: existsSync(CHROMIUM) ? false : `${CHROMIUM} is missing: apt-get install chromium`,
    timeout: 180_000,
  },
  async (t) => {
    const names = ['worker-1', 'worker-2'];
    const { coordinator, workers, url, restart } = await startLiveRun(t, names);
    const { page, faults } = await openPage(t, url);
    const state = page.locator('#state');
    const events = page.locator('#events li');

    for (const name of names) await page.locator('#workers li', { hasText: name }).waitFor();
    const loss = page.locator('#figures div', { hasText: 'Loss' }).first().locator('dd');
    await loss.filter({ hasText: /^\d\.\d{3}/ }).waitFor();
    await page.locator('#loss-legend', { hasText: /train \d\.\d\d/ }).waitFor();
    assert.equal(await state.textContent(), 'running');
    assert.match(await page.title(), /^\d+ % shown/);

    workers[1]!.kill('SIGKILL');
    await page.locator('#events [data-level=warn]', { hasText: /^.*worker-2 on .* was lost: / }).waitFor();
    await page.locator('#samples li').nth(2).waitFor();
    assert.match(
      await page.locator('#samples li').first().innerText(),
      /source.*<mask>.*prediction.*target/s,
    );

    await page.setViewportSize(PHONE);
    await page.locator('#loss-chart canvas').waitFor();
    // The charts follow the window once it has been laid out.
    await page.waitForFunction(`document.documentElement.scrollWidth === ${PHONE.width}`);
    assert.deepEqual(faults, []);

    const resumed = await followInPage(page);
    coordinator.kill('SIGKILL');
    await state.filter({ hasText: 'connection lost, trying again' }).waitFor();
    await page.locator('body.is-stale').waitFor();
    const next = restart();
    await state.filter({ hasText: /^running$/ }).waitFor();
    await events.filter({ hasText: 'The coordinator started again at step' }).waitFor();
    assert.equal(await events.filter({ hasText: 'Training began' }).count(), 1);
    const view = await resumed();
    for (const { steps } of [view.loss, view.throughput]) assertRising(steps, view.version);

    next.kill('SIGINT');
    assert.equal(await next.exit(), 130, next.text());
    await state.filter({ hasText: /^stopped$/ }).waitFor();
    await events.filter({ hasText: 'Training was stopped' }).waitFor();
    const broken = /says: .*net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING)/;
    assert.deepEqual(
      faults.filter((fault) => !broken.test(fault)),
      [],
    );
  },
);
