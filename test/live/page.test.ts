// The live page in a browser (Debian's package `chromium`), on a run of two workers one of which is killed.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { chromium, type Page } from 'playwright-core';
import { Lockstep } from '../chaos/processes.js';
import { writeDataset } from '../cli/model-run.js';

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

/** Ends when it is told to. */
const CONFIG = `
name: shown
data: data
model: { width: 8, heads: 2, feedForward: 16, encoderLayers: 1, decoderLayers: 1, dropout: 0, maxLength: 12 }
objective: { kind: masked }
window: 8
batch: { microBatches: 4, samples: 8 }
steps: 1000000
evaluate: { every: 500, batches: 1 }
checkpoint: { every: 500, keepLast: 1, keepBest: false }
worker: { threads: 1 }
heartbeat: { intervalMs: 200, timeoutMs: 30000 }
`;

interface Run {
  readonly coordinator: Lockstep;
  readonly workers: readonly Lockstep[];
  /** Of the live page. */
  readonly url: string;
}

async function startRun(t: TestContext): Promise<Run> {
  const folder = await mkdtemp(path.join(tmpdir(), 'lockstep-page-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeDataset(path.join(folder, 'data'), 2000);
  await writeFile(path.join(folder, 'run.yaml'), CONFIG);
  const start = (...args: string[]): Lockstep => {
    const child = new Lockstep(args, { cwd: folder });
    t.after(async () => {
      child.kill('SIGKILL');
      await child.exit();
    });
    return child;
  };
  const coordinator = start('coordinator', 'run.yaml', '--bind', 'tcp://127.0.0.1:*');
  const told = async (what: string, pattern: RegExp): Promise<string> => {
    const { msg } = await coordinator.line(what, ({ msg }) => pattern.test(msg));
    return pattern.exec(msg)![1]!;
  };
  const address = await told('it told where workers connect', /^Workers: lockstep worker (\S+)/);
  const workers = ['worker-1', 'worker-2'].map((name) => start('worker', address, '--name', name));
  return { coordinator, workers, url: await told('it told where its live page is', /^Live page: (\S+)/) };
}

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

test(
  'the live page shows a run, the death of a worker and the end, and asks no other host',
  {
    skip: existsSync(CHROMIUM) ? false : `${CHROMIUM} is missing: apt-get install chromium`,
    timeout: 180_000,
  },
  async (t) => {
    const { coordinator, workers, url } = await startRun(t);
    const { page, faults } = await openPage(t, url);

    for (const name of ['worker-1', 'worker-2'])
      await page.locator('#workers li', { hasText: name }).waitFor();
    const loss = page.locator('#figures div', { hasText: 'Loss' }).first().locator('dd');
    await loss.filter({ hasText: /^\d\.\d{3}/ }).waitFor();
    await page.locator('#loss-legend', { hasText: /train \d\.\d\d/ }).waitFor();
    assert.equal(await page.locator('#state').textContent(), 'running');
    assert.match(await page.title(), /^\d+ % shown/);

    workers[1]!.kill('SIGKILL');
    await page.locator('#events [data-level=warn]', { hasText: /^.*worker-2 on .* was lost: / }).waitFor();

    await page.setViewportSize(PHONE);
    await page.locator('#loss-chart canvas').waitFor();
    assert.equal(await page.evaluate('document.documentElement.scrollWidth'), PHONE.width);
    assert.deepEqual(faults, []);

    coordinator.kill('SIGINT');
    assert.equal(await coordinator.exit(), 130, coordinator.text());
    await page.locator('#state', { hasText: /^stopped$/ }).waitFor();
    await page.locator('#events li', { hasText: 'Training was stopped' }).waitFor();
  },
);
