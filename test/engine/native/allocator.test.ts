import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hostAllocator, Loan, sizeClass } from '../../../src/engine/native/allocator.js';

const allocator = () => hostAllocator((bytes) => new ArrayBuffer(bytes));

test('a size class holds what was asked for, wastes a quarter at most, and is a multiple of 64 bytes', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (bytes) => {
      const size = sizeClass(bytes);
      assert.ok(size >= bytes && size % 64 === 0 && sizeClass(size) === size);
      assert.ok(size <= Math.max(256, bytes * 1.25 + 64));
    }),
  );
});

test('memory let go is handed out again, and only then', () => {
  const memory = allocator();
  const [a, b] = [memory.acquire(100), memory.acquire(100)];
  assert.notEqual(a.buffer, b.buffer);
  memory.release(a);
  assert.equal(memory.acquire(101).buffer, a.buffer);
  assert.notEqual(memory.acquire(100).buffer, b.buffer);
  assert.deepEqual(memory.statistics(), { systemAllocations: 3, reservedBytes: 1344, usedBytes: 1344 });
});

test('a free block serves what needs half of it or more, the smallest that fits first', () => {
  const memory = allocator();
  const [large, larger] = [memory.acquire(1024), memory.acquire(1280)];
  memory.release(larger);
  memory.release(large);
  const [half, next] = [memory.acquire(640), memory.acquire(640)];
  assert.ok(half.buffer === large.buffer && next.buffer === larger.buffer);
  assert.equal(half.length, 640);
  memory.release(half);
  assert.notEqual(memory.acquire(400).buffer, large.buffer);
  assert.equal(memory.acquire(1024).buffer, large.buffer);
  assert.equal(memory.statistics().systemAllocations, 3);
});

test('a block ends with its last holder', () => {
  const memory = allocator();
  const whole = memory.acquire(100);
  const part = whole.subarray(10, 20);
  memory.retain(part);
  memory.release(whole);
  assert.notEqual(memory.acquire(100).buffer, whole.buffer);
  memory.release(part);
  assert.equal(memory.acquire(100).buffer, whole.buffer);
});

test('memory of others is left alone', () => {
  const memory = allocator();
  const values = new Float32Array(new SharedArrayBuffer(256));
  memory.retain(values);
  memory.release(values);
  memory.release(values);
  assert.equal(memory.owns(values), false);
  assert.notEqual(memory.acquire(64).buffer, values.buffer);
});

test('trim() forgets what is free and keeps what is used', () => {
  const memory = allocator();
  const [a, b] = [memory.acquire(64), memory.acquire(64)];
  memory.release(a);
  memory.trim();
  assert.deepEqual(memory.statistics(), { systemAllocations: 2, reservedBytes: 256, usedBytes: 256 });
  memory.release(b);
  assert.equal(memory.acquire(64).buffer, b.buffer);
});

test('every sequence of uses keeps live blocks apart', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 300 }), { maxLength: 200 }), (lengths) => {
      const memory = allocator();
      const live: Float32Array[] = [];
      for (const length of lengths) {
        if (length % 3 === 0 && live.length > 0) memory.release(live.splice(length % live.length, 1)[0]!);
        else live.push(memory.acquire(length));
        assert.equal(new Set(live.map(({ buffer }) => buffer)).size, live.length);
      }
      for (const values of live) memory.release(values);
      assert.equal(memory.statistics().usedBytes, 0);
    }),
  );
});

test('blocks that were handed out are known, and can be borrowed together while nobody holds one', () => {
  const memory = allocator();
  const before = memory.acquire(10);
  const loan = new Loan();
  memory.onHandOut = (block) => loan.add(block);
  const [a, b] = [memory.acquire(100), memory.acquire(200)];
  memory.onHandOut = null;
  assert.equal(loan.blocks.size, 2);
  const { usedBytes } = memory.statistics();
  memory.release(a);
  assert.equal(memory.borrow(loan), false);
  memory.release(b);
  assert.equal(memory.borrow(loan), true);
  assert.equal(memory.statistics().usedBytes, usedBytes);
  assert.ok([100, 200].every((size) => ![a.buffer, b.buffer].includes(memory.acquire(size).buffer)));
  assert.equal(memory.borrow(loan), false);
  memory.giveBack();
  const taken = memory.acquire(200);
  assert.equal(taken.buffer, b.buffer);
  assert.equal(memory.borrow(loan), false);
  memory.release(taken);
  memory.release(before);
  memory.trim();
  assert.equal(memory.borrow(loan), false);
});

test('a borrowed block that others hold longer is free once, when the last lets go', () => {
  const memory = allocator();
  const loan = new Loan();
  memory.onHandOut = (block) => loan.add(block);
  const values = memory.acquire(100);
  memory.onHandOut = null;
  memory.release(values);
  memory.borrow(loan);
  memory.trim();
  memory.retain(values);
  memory.giveBack();
  const other = memory.acquire(100);
  assert.notEqual(other.buffer, values.buffer);
  memory.release(values);
  assert.equal(memory.acquire(100).buffer, values.buffer);
  assert.notEqual(memory.acquire(100).buffer, values.buffer);
  assert.equal(memory.statistics().reservedBytes, 3 * sizeClass(100 * 4));
});

test('borrowed blocks are poisoned like new ones', () => {
  const memory = allocator();
  const loan = new Loan();
  memory.onHandOut = (block) => loan.add(block);
  const values = memory.acquire(100).fill(1);
  memory.release(values);
  memory.poison = true;
  memory.borrow(loan);
  assert.ok(values.every(Number.isNaN));
});
