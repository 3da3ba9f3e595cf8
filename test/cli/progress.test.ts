import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { createProgress, isLive, type ProgressOptions } from '../../src/cli/progress.js';

const ERASE_LINE = '\x1b[K'; // from the cursor to the end of the line

/** A progress whose clock is set by hand, and what it has written. */
function started(options: Partial<ProgressOptions> & { columns?: number } = {}) {
  let written = '';
  let clock = 0;
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written += chunk.toString();
      done();
    },
  });
  if (options.columns !== undefined) Object.assign(stream, { columns: options.columns });
  const progress = createProgress(stream, {
    label: 'train',
    total: 100,
    now: () => clock,
    live: false,
    ...options,
  });
  return {
    progress,
    at: (seconds: number) => (clock = seconds * 1000),
    take: () => {
      const taken = written.replaceAll(ERASE_LINE, '⌫');
      written = '';
      return taken;
    },
  };
}

test('without a terminal there are plain lines at intervals, the last state among them', () => {
  const { progress, at, take } = started({ unit: 'steps' });
  progress.update(0, ['loss 9.00']);
  at(1);
  progress.update(10);
  at(4.9);
  progress.update(49);
  assert.equal(take(), 'train  0/100 steps  loss 9.00\n');
  at(5);
  progress.update(50, ['loss 3.21', '2 workers']);
  assert.equal(take(), 'train  50/100 steps  loss 3.21  2 workers  0:05 left\n');
  progress.log('a remark');
  at(8);
  progress.update(100);
  progress.close();
  assert.equal(take(), 'a remark\ntrain  100/100 steps  in 0:08\n');
});

test('the time left does not count what was done before the start', () => {
  const { progress, at, take } = started();
  progress.update(80);
  at(10);
  progress.update(90);
  assert.match(take(), /90\/100 {2}0:10 left\n$/);
});

test('on a terminal one line is redrawn, at most ten times a second', () => {
  const { progress, at, take } = started({ live: true, columns: 80 });
  progress.update(50);
  assert.equal(take(), '\rtrain  ██████████░░░░░░░░░░  50/100⌫');
  at(0.05);
  progress.update(51);
  assert.equal(take(), '');
  at(0.1);
  progress.update(52);
  assert.match(take(), /^\r[^\n]*52\/100⌫$/);
  progress.log('a remark');
  assert.match(take(), /^\ra remark⌫\n\r[^\n]*52\/100⌫$/);
  progress.update(53);
  progress.close();
  assert.match(take(), /^\r[^\n]*53\/100⌫\n$/);
});

test('a line never reaches the last column, so that it cannot wrap', () => {
  const { progress, take } = started({ live: true, columns: 20 });
  progress.update(50, ['a detail that does not fit']);
  assert.equal(take().replace(/^\r|⌫$/g, '').length, 19);
});

test('without a total there is neither bar nor time left', () => {
  const { progress, at, take } = started({ total: null, live: true, unit: 'lines' });
  progress.update(0);
  at(2);
  progress.update(1234567);
  assert.match(take(), /\rtrain {2}1,234,567 lines⌫$/);
});

test('nothing is printed when nothing was reported', () => {
  const { progress, take } = started({ live: true });
  progress.close();
  assert.equal(take(), '');
});

test('CI=true, a dumb terminal and a pipe are not redrawn', () => {
  const stream = (isTTY: boolean) => Object.assign(new Writable(), { isTTY });
  assert.equal(isLive(stream(true), {}), true);
  assert.equal(isLive(stream(true), { CI: 'false' }), true);
  assert.equal(isLive(stream(true), { CI: 'true' }), false);
  assert.equal(isLive(stream(true), { TERM: 'dumb' }), false);
  assert.equal(isLive(stream(false), {}), false);
});
