// The panel of a run as lines of text, and how it stands on a terminal with a log above it.
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { panelLines } from '../../src/cli/run-panel.js';
import { createRunDisplay } from '../../src/cli/run-display.js';
import { Screen } from '../../src/cli/screen.js';
import { span } from '../../src/cli/spans.js';
import { worthALine } from '../../src/cli/worth-a-line.js';
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
  const stopping = fold(running(2), { kind: 'stopping', time: 11 });
  assert.match(textOf(stopping)[0]!, /step 3 of 100 *3 % *stopping$/);
  assert.match(loss!, /loss 2\.500/);
  assert.match(speed!, /2,000 tokens\/s.*http:\/\/here/);
  assert.match(first!, /worker-1.*compute.*1–2 of 4.*4\.0 batches\/s/);
  assert.match(second!, /worker-2.*silent 9 s/);
  assert.ok(!first!.includes('\x1b'), 'a name steers no terminal');
});

test('workers for which there is no room are counted, and a run without any says so', () => {
  assert.equal(textOf(running(9), 3).at(-1), 'and 7 more workers');
  assert.match(textOf(running(0)).at(-1)!, /no worker is here/);
  const fromFiles = panelLines(running(0), { now: 10, mostWorkers: 8, url: null, isFromFiles: true });
  assert.doesNotMatch(JSON.stringify(fromFiles), /no worker/);
});

test('where no panel can be drawn the progress says how many workers are here, or that it waits for some', () => {
  const lineOf = (view: RunView): string => {
    let written = '';
    const stream = new Writable({
      write: (chunk, _encoding, done) => {
        written += String(chunk);
        done();
      },
    });
    const display = createRunDisplay(stream, { label: 'train', url: null });
    display.update(view);
    display.close();
    return written;
  };
  assert.equal(lineOf(emptyView), 'train  0 steps  waiting for workers\n');
  assert.match(lineOf(running(0)), /^train {2}3\/100 steps {2}loss 2\.500 {2}waiting for workers\n$/);
  assert.match(lineOf(running(2)), / 2 workers {2}1:37 left\n$/);
  const stopping = fold(running(2), { kind: 'stopping', time: 11 });
  assert.match(lineOf(stopping), / 2 workers\n$/);
});

test('a terminal is told while the last model is asked, and for how long at most', () => {
  const told = worthALine({ kind: 'lastPredictionsAwaited', mostSeconds: 10 }, emptyView);
  assert.equal(told, 'Asking the last model about held-out samples, for at most 10 s');
});

/** A terminal of that size, and what is written to it. */
function terminal(size: { columns: number; rows: number }): { screen: Screen; written: () => string } {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  return { screen: new Screen(Object.assign(stream, size), false), written: () => text };
}

test('what is logged stands above the panel, which is drawn again below it', () => {
  const { screen, written } = terminal({ columns: 40, rows: 10 });
  screen.show([[span('one')], [span('two')]]);
  const before = written().length;
  screen.log('a worker speaks');
  screen.close();
  const drawn = written().slice(before);
  assert.ok(drawn.includes('\x1b[2A'), 'it begins where the panel began');
  const shown = drawn.slice(drawn.indexOf('\x1b[2A'));
  assert.ok(shown.indexOf('a worker speaks') < shown.indexOf('one'));
  assert.ok(shown.indexOf('one') < shown.indexOf('two'));
});

test('a terminal that tells no size, or is very small, is drawn on in whole lines', () => {
  for (const size of [0, 1, 2]) {
    const { screen, written } = terminal({ columns: size, rows: size });
    screen.show([[span('one')], [span('two')]]);
    screen.show([[span('one')], [span('two')]]);
    screen.close();
    const ups = written()
      .split('\x1b[')
      .flatMap((code) => /^(Infinity|\d+)A/.exec(code)?.[0] ?? []);
    assert.deepEqual(ups, [size === 0 ? '2A' : '1A'], `of ${size} columns and rows`);
    assert.equal(written().includes('one\x1b[K\n'), size === 0);
  }
});
