// tfjs-core publishes the tests that its own backends must pass, as jasmine specs. The native backend passes all of
// them but the listed exclusions, also those that the suite runs in browsers only.
import assert from 'node:assert/strict';
import { createRequire, register } from 'node:module';
import { test } from 'node:test';
import { EXCLUSIONS, type Exclusion } from './conformance-exclusions.js';

/** Of tfjs-core 4.22.0, exclusions included: a suite that loads only in part must not pass. */
const SPECS = 4385;
const SPEC_TIMEOUT_MS = 20_000; // the suite's own
const FAILURES_SHOWN = 20;

/** What we use of jasmine-core, which has no types. */
interface SpecResult {
  readonly fullName: string;
  readonly status: 'passed' | 'failed' | 'excluded' | 'pending';
  readonly failedExpectations: readonly { readonly message: string }[];
}
interface Jasmine {
  DEFAULT_TIMEOUT_INTERVAL: number;
  getEnv(): {
    configure(options: { random: boolean; specFilter: (spec: { getPath(): string[] }) => boolean }): void;
    addReporter(reporter: { specDone(result: SpecResult): void }): void;
    execute(): Promise<{ overallStatus: string; failedExpectations: SpecResult['failedExpectations'] }>;
  };
}

const require = createRequire(import.meta.url);

/** Decides what runs, and keeps account of the exclusions that it met. */
class Filter {
  private readonly met = new Set<string>();

  readonly includes = (spec: { getPath(): string[] }): boolean => {
    const [describe, ...rest] = spec.getPath();
    const group = describe!.replace(' native {}', '');
    const name = rest.join(' ');
    const excluded = (exclusion: Exclusion) =>
      exclusion.group === group && (exclusion.specs === 'all' || exclusion.specs.includes(name));
    if (!EXCLUSIONS.some(excluded)) return true;
    this.met.add(`${group}: all`).add(`${group}: ${name}`);
    return false;
  };

  /** Exclusions that name no spec of the suite. */
  unmet(): string[] {
    return EXCLUSIONS.flatMap(({ group, specs }) =>
      (specs === 'all' ? ['all'] : specs).map((name) => `${group}: ${name}`),
    ).filter((name) => !this.met.has(name));
  }
}

/** Makes jasmine's functions global, and lets the suite declare its specs for our backend. */
async function loadSuite(): Promise<Jasmine> {
  register('./conformance-hooks.js', import.meta.url);
  globalThis.require = require; // which some of tfjs's ES modules call
  const jasmine = (require('jasmine-core') as { boot(): Jasmine }).boot();
  jasmine.DEFAULT_TIMEOUT_INTERVAL = SPEC_TIMEOUT_MS;

  const { loadEngine } = await import('../../../src/engine/load.js');
  const { engine: name } = (await loadEngine('native', { threads: 1 })).fingerprint;
  const suite = await import('@tensorflow/tfjs-core/dist/jasmine_util.js');
  suite.setTestEnvs([{ name, backendName: name, isDataSync: true }]);
  suite.BROWSER_ENVS.predicate = () => true; // about half of these need none
  suite.CHROME_ENVS.flags = {};
  await import('@tensorflow/tfjs-core/dist/tests.js');
  return jasmine;
}

test("the native backend passes tfjs-core's own tests", async (t) => {
  const jasmine = await loadSuite();
  const tf = await import('@tensorflow/tfjs');
  const core = await import('@tensorflow/tfjs-core/dist/index.js');
  assert.equal(tf.Tensor, core.Tensor, 'the suite and the engine use different copies of tfjs-core');

  const filter = new Filter();
  const results: SpecResult[] = [];
  const env = jasmine.getEnv();
  env.configure({ random: false, specFilter: filter.includes });
  env.addReporter({ specDone: (result) => results.push(result) });
  for (const method of ['log', 'warn'] as const) t.mock.method(console, method, () => undefined);
  const { overallStatus, failedExpectations } = await env.execute();

  const count = (status: SpecResult['status']) => results.filter((result) => result.status === status).length;
  const [passed, excluded] = [count('passed'), count('excluded')];
  t.diagnostic(
    `tfjs-core ${tf.version_core}: ${results.length} specs, ${passed} passed, ${excluded} excluded, ` +
      `${results.length - passed - excluded} failed`,
  );
  const failures = results
    .filter(({ status }) => status === 'failed' || status === 'pending')
    .map(({ fullName, status, failedExpectations: [first] }) => `${fullName}: ${first?.message ?? status}`);
  assert.equal(
    failures.length,
    0,
    [`${failures.length} specs:`, ...failures.slice(0, FAILURES_SHOWN)].join('\n'),
  );
  assert.deepEqual([overallStatus, ...failedExpectations.map(({ message }) => message)], ['passed']);
  assert.deepEqual(filter.unmet(), [], 'exclusions that name no spec');
  assert.equal(results.length, SPECS);
});
