// docs/faults.md against the tree: a row names tests, metrics and log lines, and all of them exist.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/util/package.js';

const rows = readFileSync(`${packageRoot}docs/faults.md`, 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !/^\| (fault |-)/.test(line))
  .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim()));

const sources = readdirSync(`${packageRoot}src`, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(path.join(packageRoot, 'src', name), 'utf8'))
  .join('\n');

test('the page of faults has rows of four cells', () => {
  assert.ok(rows.length >= 20);
  for (const row of rows) assert.equal(row.length, 4, row[0]);
});

for (const [fault, , tested, seen] of rows) {
  test(`what docs/faults.md says of "${fault}" exists`, () => {
    const [, file, name] = /^`([^`]+)`: "([^"]+)"$/.exec(tested!)!;
    const text = readFileSync(packageRoot + file!, 'utf8');
    const isThere = [name!, name!.replace(/^SIG\w+/, '${signal}')].some((wording) => text.includes(wording));
    assert.ok(isThere, `${file} has no test "${name}"`);
    const metrics = [...seen!.matchAll(/`(lockstep_\w+)`/g)].map(([, metric]) => `'${metric}'`);
    const lines = [...seen!.matchAll(/log "([^"]+)"/g)].map(([, line]) => line!);
    assert.ok(metrics.length + lines.length > 0, 'the operator sees something');
    for (const wanted of [...metrics, ...lines]) assert.ok(sources.includes(wanted), `src/ has no ${wanted}`);
  });
}
