// The panel of a run as lines of text, and how it stands on a terminal with a log above it.
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { panelLines } from '../../src/cli/run-panel.js';
import { Screen } from '../../src/cli/screen.js';
import { span } from '../../src/cli/spans.js';
import { emptyView, fold, type RunView } from '../../src/live/run-view.js';
import { committed, runStarted, workerStatus } from '../metrics/events.js';

function textOf(view: RunView, mostWorkers = 8): string[] {
  const lines = panelLines(view, { now: 10, mostWorkers, url: 'http://here' });
  return lines.map((line) => line.map(({ text }) => text).join(''));
}

function running(workers: number): RunView {
  let view = fold(emptyView, { ...runStarted, time: 1 });
  for (const step of [0, 1, 2]) view = fold(view, { ...committed(step), time: 2 + step });
  const here = Array.from({ length: workers }, (_, i) =>
    workerStatus({ session: `s${i}`, name: `worker-${i + 1}\x1b[2J`, silentSeconds: i === 1 ? 9 : 0 }),
  );
  return fold(view, { kind: 'workers', workers: here, time: 10 });
}

test('the panel says how far the run is, its loss, its speed and what each worker does', () => {
  const [progress, loss, speed, first, second] = textOf(running(2));
  assert.match(progress!, /books.*step 3 of 100.*3 %.*left/);
  assert.match(loss!, /loss 2\.500/);
  assert.match(speed!, /2,000 tokens\/s.*http:\/\/here/);
  assert.match(first!, /worker-1.*compute.*1–2 of 4.*4\.0 batches\/s/);
  assert.match(second!, /worker-2.*silent 9 s/);
  assert.ok(!first!.includes('\x1b'), 'a name steers no terminal');
});

test('workers for which there is no room are counted, and a run without any says so', () => {
  assert.equal(textOf(running(9), 3).at(-1), 'and 7 more workers');
  assert.match(textOf(running(0)).at(-1)!, /no worker is here/);
});

test('what is logged stands above the panel, which is drawn again below it', () => {
  let written = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written += chunk.toString();
      done();
    },
  });
  const screen = new Screen(Object.assign(stream, { columns: 40, rows: 10 }), false);
  screen.show([[span('one')], [span('two')]]);
  written = '';
  screen.log('a worker speaks');
  screen.close();
  assert.ok(written.includes('\x1b[2A'), 'it begins where the panel began');
  const shown = written.slice(written.indexOf('\x1b[2A'));
  assert.ok(shown.indexOf('a worker speaks') < shown.indexOf('one'));
  assert.ok(shown.indexOf('one') < shown.indexOf('two'));
});
