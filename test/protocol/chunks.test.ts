// The flat vector's geometry: chunks and slices cover everything once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkGrid, LARGE_CHUNK_ELEMENTS, SMALL_CHUNK_ELEMENTS } from '../../src/protocol/chunks.js';

const sizes = fc.oneof(
  fc.integer({ min: 1, max: 40 * SMALL_CHUNK_ELEMENTS }),
  fc.integer({ min: 1, max: 40 }).map((chunks) => chunks * SMALL_CHUNK_ELEMENTS),
);
const grids = fc
  .tuple(sizes, fc.oneof(fc.constant(0), sizes))
  .map(([trainable, frozen]) => new ChunkGrid(trainable, trainable + frozen));

test('chunks are large where there are at least eight of them, and as much is under way with either size', () => {
  const total = 8 * LARGE_CHUNK_ELEMENTS;
  const [small, large] = [total - 1, total].map((elements) => new ChunkGrid(elements, elements));
  assert.equal(small!.chunkElements, SMALL_CHUNK_ELEMENTS);
  assert.equal(large!.chunkElements, LARGE_CHUNK_ELEMENTS);
  assert.equal(large!.chunks, 8);
  const underWay = ({ windowChunks, chunkElements }: ChunkGrid): number => windowChunks * chunkElements;
  assert.equal(underWay(small!), underWay(large!));
});

test('slices are runs of whole chunks that cover every chunk once, none of them empty', () => {
  fc.assert(
    fc.property(grids, fc.integer({ min: 1, max: 60 }), (grid, reducers) => {
      const slices = grid.slices(reducers);
      assert.equal(slices.length, Math.min(reducers, grid.chunks));
      let next = 0;
      for (const { firstChunk, endChunk } of slices) {
        assert.equal(firstChunk, next);
        assert.ok(endChunk > firstChunk);
        next = endChunk;
      }
      assert.equal(next, grid.chunks);
    }),
  );
});

test('no slice has two chunks more than another', () => {
  fc.assert(
    fc.property(grids, fc.integer({ min: 1, max: 60 }), (grid, reducers) => {
      const sizesOf = grid.slices(reducers).map(({ firstChunk, endChunk }) => endChunk - firstChunk);
      assert.ok(Math.max(...sizesOf) - Math.min(...sizesOf) <= 1);
    }),
  );
});

test('chunks follow each other, and hold every element and every trainable element once', () => {
  fc.assert(
    fc.property(grids, (grid) => {
      let elements = 0;
      let trainable = 0;
      for (let chunk = 0; chunk < grid.chunks; chunk++) {
        assert.equal(grid.start(chunk), elements);
        assert.ok(grid.elements(chunk) > 0);
        assert.equal(grid.gradientElements(chunk) > 0, chunk < grid.gradientChunks);
        elements += grid.elements(chunk);
        trainable += grid.gradientElements(chunk);
      }
      assert.equal(elements, grid.total);
      assert.equal(trainable, grid.trainable);
    }),
  );
});
