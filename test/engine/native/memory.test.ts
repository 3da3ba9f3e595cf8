// What the addon offers for bytes that come from and go to sockets.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { crc32, release } from '../../../src/engine/native/memory.js';

test('crc32 is that of zlib, for every length and alignment', () => {
  const bytes = Uint8Array.from({ length: 5000 }, (_, i) => (i * 167) ^ (i >> 3));
  for (const length of [...Array.from({ length: 300 }, (_, i) => i), 1024, 4099]) {
    for (const start of [0, 1, 7]) {
      const part = bytes.subarray(start, start + length);
      assert.equal(crc32(part), zlibCrc32(part), `${length} bytes from ${start}`);
    }
  }
});

test('crc32 sees a single flipped bit anywhere', () => {
  const bytes = new Uint8Array(200).fill(90);
  const expected = crc32(bytes);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    assert.notEqual(crc32(bytes), expected, `bit ${bit}`);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
  }
});

test('release empties every view of the memory, and leaves shared memory alone', () => {
  const bytes = new Uint8Array(100);
  const window = bytes.subarray(10, 20);
  release(window);
  assert.equal(bytes.length, 0);
  const shared = new Uint8Array(new SharedArrayBuffer(100));
  release(shared);
  assert.equal(shared.length, 100);
});
