// Which lease has to make room when the leftmost waiting node finds none.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LeaseBook, type Lease } from '../../src/coordinator/lease-book.js';
import { ReductionTree } from '../../src/protocol/tree.js';
import { STATS } from './driver.js';

const tree = new ReductionTree(8);

function computed(book: LeaseBook, lease: Lease): void {
  const { start, end } = tree.range(lease.node);
  book.computed(
    lease.session,
    lease.node,
    Array.from({ length: end - start }, () => STATS),
    1,
    0,
  );
}

test('a computed lease makes room when all that is left of it waits or has expired', () => {
  const book = new LeaseBook(tree, 1);
  const hung = book.take('hung', 0.5, 0)!; // [0, 4)
  const stuck = book.take('stuck', 0.5, 0)!; // [4, 8)
  computed(book, stuck);
  assert.equal(book.stalled(), undefined, 'the left half is being computed');
  book.expire(hung);
  const helped = book.take('helper', 0.25, 0)!; // [0, 2)
  assert.equal(book.stalled(), undefined, 'the leftmost quarter is being computed');
  computed(book, helped);
  book.covered([0, 1]);
  book.settle(0);
  assert.equal(book.stalled(), stuck, 'the second quarter waits, and the hung lease starts left of it');
});

test('a lease that is still being computed makes no room', () => {
  const book = new LeaseBook(tree, 1);
  const lost = book.take('lost', 0.5, 0)!;
  book.take('busy', 0.5, 0);
  book.endLease(lost, 0);
  assert.equal(book.stalled(), undefined);
});
