// What a comparison does with processes that end.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Arm } from '../../bench/support/arms.js';
import { Deadline } from '../../bench/support/deadline.js';
import { compareSteps } from '../../bench/support/step-comparison.js';
import { QUICK } from '../../bench/support/step-workload.js';

const HELLO = `console.log(JSON.stringify({ version: '1', parameters: 5 }));`;
const ANSWERS = `process.stdin.on('data', () => console.log(JSON.stringify({ seconds: [1], peakBytes: 1 })));`;

const arm = (name: string, script: string): Arm => ({
  name,
  isTorch: false,
  command: () => ({ program: process.execPath, args: ['-e', script], environment: {} }),
});

const GOOD = arm('good', HELLO + ANSWERS);

async function compare(arms: readonly Arm[]): Promise<{ measured: string[]; notes: string }> {
  const notes: string[] = [];
  const comparison = await compareSteps({
    ...{ workload: QUICK, precision: 'float32', arms, threads: [1], rounds: 2, steps: 1, products: null },
    ...{ deadline: new Deadline(60), signal: new AbortController().signal },
    note: (line) => notes.push(line),
  });
  return { measured: comparison.measurements.map((each) => each.arm), notes: notes.join('\n') };
}

test('a process that ends at its start or in a round leaves its own figures out, not those of others', async () => {
  const atStart = arm('ends at its start', 'process.exit(1)');
  const inRound = arm('ends in a round', `${HELLO}process.stdin.on('data', () => process.exit(1));`);
  const { measured, notes } = await compare([atStart, inRound, GOOD]);
  assert.deepEqual(measured, ['good']);
  for (const { name } of [atStart, inRound])
    assert.match(notes, new RegExp(`without ${name} \\(threads: 1\\): .*ended early`));
});

test('where none of them is left, or the only one ends, it fails', async () => {
  const ends = arm('ends', 'process.exit(1)');
  await assert.rejects(compare([ends, ends]), /none of the processes .* could be started/);
  await assert.rejects(compare([ends]), /ended early/);
});
