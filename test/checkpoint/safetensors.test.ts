import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import { writeSlice } from '../../src/checkpoint/files.js';
import { fromFloat16 } from '../../src/checkpoint/half.js';
import { SafetensorsFile, createSafetensors } from '../../src/checkpoint/safetensors.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { layout } from './fixture.js';

/** A file with one tensor `x` of the given dtype and bytes; returns its name. */
async function foreignFile(
  directory: string,
  dtype: string,
  count: number,
  data: ArrayBufferView,
): Promise<string> {
  const json = JSON.stringify({ x: { dtype, shape: [count], data_offsets: [0, data.byteLength] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const name = `${dtype}.safetensors`;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  await writeFile(path.join(directory, name), Buffer.concat([length, Buffer.from(json), bytes]));
  return name;
}

async function readForeign(directory: string, dtype: string, count: number, data: ArrayBufferView) {
  const name = await foreignFile(directory, dtype, count, data);
  const file = await SafetensorsFile.open(new DiskFolder(directory), name);
  try {
    return await file.read('x');
  } finally {
    await file.close();
  }
}

test('slices written at any offsets are read back by name with the same bits', async (t) => {
  const folder = new DiskFolder(await temporaryDirectory(t));
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.float32Array({ minLength: layout.total, maxLength: layout.total }),
      fc.nat(layout.total),
      async (values, cut) => {
        const name = `${run++}.safetensors`;
        const file = await createSafetensors(folder, name, layout.tensors);
        await writeSlice(file.path, file.dataOffset + 4 * cut, values.subarray(cut));
        await writeSlice(file.path, file.dataOffset, values.subarray(0, cut));
        const opened = await SafetensorsFile.open(folder, name);
        for (const { name, offset, size } of layout.tensors) {
          assert.deepEqual(await opened.read(name), values.slice(offset, offset + size));
        }
        await opened.close();
      },
    ),
    { numRuns: 30 },
  );
});

test('a vector longer than one write call is written and read whole, on shared memory, too', async (t) => {
  const folder = new DiskFolder(await temporaryDirectory(t));
  const length = (9 << 20) / 4 + 3;
  const values = new Float32Array(new SharedArrayBuffer(4 * length)).map((_, i) => i % 65_537);
  const file = await createSafetensors(folder, 'x.safetensors', [{ name: 'x', shape: [length] }]);
  await writeSlice(file.path, file.dataOffset, values);
  const opened = await SafetensorsFile.open(folder, 'x.safetensors');
  const into = new Float32Array(new SharedArrayBuffer(4 * length));
  await opened.read('x', into);
  await opened.close();
  assert.ok(Buffer.from(into.buffer).equals(Buffer.from(values.buffer)));
});

test('the same tensors give the same header bytes, and what is not written is zero', async (t) => {
  const folder = new DiskFolder(await temporaryDirectory(t));
  const { path: a, dataOffset } = await createSafetensors(folder, 'a', layout.tensors);
  const { path: b } = await createSafetensors(folder, 'b', layout.tensors);
  const bytes = await readFile(a);
  assert.ok(bytes.equals(await readFile(b)));
  assert.equal(bytes.byteLength, dataOffset + 4 * layout.total);
  assert.ok(bytes.subarray(dataOffset).every((byte) => byte === 0));
});

test('half-precision, bfloat16 and double tensors are widened to float32', async (t) => {
  const directory = await temporaryDirectory(t);
  const half = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x03ff, 0x7bff, 0x7c00, 0x8000);
  assert.deepEqual(
    await readForeign(directory, 'F16', 7, half),
    Float32Array.of(1, -2, 2 ** -24, 1023 * 2 ** -24, 65504, Infinity, -0),
  );
  assert.ok(Number.isNaN(fromFloat16(0x7e00)));
  const brain = Uint16Array.of(0x3f80, 0xc049, 0x7f80, 0x0001);
  const expected = new Float32Array(Uint32Array.from(brain, (bits) => bits << 16).buffer);
  assert.deepEqual(await readForeign(directory, 'BF16', 4, brain), expected);
  const double = Float64Array.of(0.1, -1e-50, 1e300);
  assert.deepEqual(await readForeign(directory, 'F64', 3, double), Float32Array.from(double));
});

test('a tensor of integers, a tensor that is not there, and a file that is not there are faults of the user', async (t) => {
  const directory = await temporaryDirectory(t);
  await assert.rejects(readForeign(directory, 'I32', 2, new Int32Array(2)), {
    code: 'SAFETENSORS_DTYPE',
    message: /x is I32, expected F32, F16, BF16 or F64/,
  });
  const folder = new DiskFolder(directory);
  const name = await foreignFile(directory, 'F32', 1, new Float32Array(1));
  const opened = await SafetensorsFile.open(folder, name);
  await assert.rejects(opened.read('y'), {
    code: 'SAFETENSORS_TENSOR_MISSING',
    message: /has no tensor "y"/,
  });
  await opened.close();
  await assert.rejects(SafetensorsFile.open(folder, 'none'), { code: 'SAFETENSORS_MISSING' });
});
