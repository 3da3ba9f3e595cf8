import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeHeader,
  encodeHeader,
  headerLength,
  type SafetensorsHeader,
} from '../../src/checkpoint/safetensors-header.js';
import { UserError } from '../../src/util/errors.js';

const encoder = new TextEncoder();

/** Decodes a whole file: length, JSON, data. */
function decodeFile(bytes: Uint8Array): SafetensorsHeader {
  const length = headerLength(bytes.subarray(0, 8), bytes.byteLength, 'x.safetensors');
  return decodeHeader(bytes.subarray(8, 8 + length), bytes.byteLength, 'x.safetensors');
}

function fileWith(json: string | Uint8Array, dataBytes: number): Uint8Array {
  const header = typeof json === 'string' ? encoder.encode(json) : json;
  const bytes = new Uint8Array(8 + header.byteLength + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.byteLength), true);
  bytes.set(header, 8);
  return bytes;
}

function refuses(bytes: Uint8Array, sentence: RegExp): void {
  assert.throws(
    () => decodeFile(bytes),
    (error) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.code, 'SAFETENSORS_INVALID');
      assert.match(error.message, /^x\.safetensors is not a valid safetensors file: /);
      assert.match(error.message, sentence);
      return true;
    },
  );
}

const whole =
  '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}';

const faults: [what: string, json: string, dataBytes: number, sentence: RegExp][] = [
  [
    'a hole',
    whole.replace('[8,11]', '[9,12]'),
    12,
    /1 bytes between tensor "a" and tensor "b" belong to no tensor/,
  ],
  [
    'a hole at the start',
    '{"b":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}',
    4,
    /1 bytes between the start/,
  ],
  ['an overlap', whole.replace('[8,11]', '[7,10]'), 10, /tensor "b" overlaps tensor "a"/],
  ['data beyond the last tensor', whole, 12, /take 11 bytes, its data section has 12/],
  ['missing data', whole, 10, /take 11 bytes, its data section has 10/],
  [
    'a shape that disagrees with its bytes',
    whole.replace('[2]', '[3]'),
    11,
    /F32 \[3\] takes 12 bytes, .* span 8/,
  ],
  [
    'an unknown dtype',
    whole.replace('"F32"', '"F33"'),
    11,
    /tensor "a" has the dtype "F33", expected one of BOOL/,
  ],
  ['a dtype from the prototype', whole.replace('"F32"', '"toString"'), 11, /has the dtype "toString"/],
  ['offsets in the wrong order', whole.replace('[0,8]', '[8,0]'), 11, /span -8/],
  ['a negative offset', whole.replace('[0,8]', '[-8,0]'), 11, /no data_offsets/],
  ['a fractional shape', whole.replace('[2]', '[2.5]'), 11, /no shape of whole numbers/],
  ['a shape beyond exact integers', whole.replace('[2]', '[9007199254740993]'), 11, /no shape/],
  [
    'a product that overflows',
    whole.replace('[2]', '[9007199254740991,9007199254740991]'),
    11,
    /takes .* bytes/,
  ],
  [
    'a name twice',
    `${whole.slice(0, -1)},"a":{"dtype":"U8","shape":[0],"data_offsets":[8,8]}}`,
    11,
    /names "a" twice/,
  ],
  ['a name twice, once escaped', `${whole.slice(0, -1)},"\\u0061":1}`, 11, /names "a" twice/],
  ['a field twice', whole.replace('"shape":[2]', '"shape":[9],"shape":[2]'), 11, /names "shape" twice/],
  ['an unknown field', whole.replace('"shape":[2]', '"shape":[2],"stride":1'), 11, /unknown field "stride"/],
  ['a tensor that is no object', '{"a":[]}', 0, /tensor "a" is not an object/],
  ['metadata that is no text', '{"__metadata__":{"format":1}}', 0, /__metadata__ "format" is not a string/],
  ['JSON that is no object', '[]', 0, /does not start with "\{"/],
  ['space before the JSON', ` ${whole}`, 11, /does not start with "\{"/],
  ['broken JSON', whole.slice(0, -1), 11, /is not JSON/],
  ['deep nesting', `{"a":${'['.repeat(100_000)}`, 0, /is not JSON/],
];
for (const [what, json, dataBytes, sentence] of faults) {
  test(`a header with ${what} is refused`, () => refuses(fileWith(json, dataBytes), sentence));
}

test('a header that is not UTF-8 is refused', () => {
  const json = encoder.encode(whole);
  json[2] = 0xff;
  refuses(fileWith(json, 11), /is not JSON/);
});

test('a length of more than the file, or of more than the limit, is refused before anything is read', () => {
  const bytes = fileWith(whole, 11);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(bytes.byteLength - 7), true);
  refuses(bytes, /claims 119 bytes, the file has 118/);
  for (const length of [100_000_001n, 2n ** 63n, 2n ** 64n - 1n]) {
    view.setBigUint64(0, length, true);
    refuses(bytes, new RegExp(`claims ${length} bytes, the limit is 100000000`));
  }
  refuses(bytes.subarray(0, 7), /it has 7 bytes, expected at least 8/);
});

test('trailing spaces, empty tensors, scalars and a tensor named __proto__ are accepted', () => {
  const json =
    '{"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"__proto__":{"dtype":"F64","shape":[3,0],"data_offsets":[4,4]},' +
    '"__metadata__":{"format":"pt"}}   ';
  const header = decodeFile(fileWith(json, 4));
  assert.deepEqual([...header.tensors.keys()], ['s', '__proto__']);
  assert.equal(header.metadata.get('format'), 'pt');
});

const tensorList = fc.uniqueArray(
  fc.record({
    name: fc.string({ unit: 'binary' }).filter((name) => name !== '__metadata__'),
    shape: fc.array(fc.nat(5), { maxLength: 4 }),
  }),
  { selector: ({ name }) => Buffer.from(name, 'utf8').toString('hex'), maxLength: 8 },
);

function dataBytesOf(tensors: readonly { shape: readonly number[] }[]): number {
  return tensors.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 4), 0);
}

function encodeFile(tensors: readonly { name: string; shape: number[] }[]): Uint8Array {
  const header = encodeHeader(tensors);
  const bytes = new Uint8Array(header.byteLength + dataBytesOf(tensors));
  bytes.set(header);
  return bytes;
}

test('what is encoded is decoded again, in order, with aligned data', () => {
  fc.assert(
    fc.property(tensorList, (tensors) => {
      const bytes = encodeFile(tensors);
      const { tensors: found, dataOffset, metadata } = decodeFile(bytes);
      assert.equal(dataOffset % 8, 0);
      assert.deepEqual([...metadata], [['format', 'pt']]);
      assert.equal(found.size, tensors.length);
      for (const { name, shape } of tensors) assert.deepEqual(found.get(name)?.shape, shape);
      const begins = tensors
        .filter(({ shape }) => !shape.includes(0))
        .map(({ name }) => found.get(name)!.begin);
      assert.deepEqual(
        begins,
        [...begins].sort((a, b) => a - b),
      );
    }),
  );
});

/** Decodes; a refusal must be the user error, and what is accepted must account for every byte of the file. */
function decodesCleanly(bytes: Uint8Array): void {
  let header: SafetensorsHeader;
  try {
    header = decodeFile(bytes);
  } catch (error) {
    assert.ok(error instanceof UserError && error.code === 'SAFETENSORS_INVALID', String(error));
    return;
  }
  const total = [...header.tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0);
  assert.equal(header.dataOffset + total, bytes.byteLength);
}

test('a file cut off anywhere is refused', () => {
  fc.assert(
    fc.property(
      tensorList,
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (tensors, share) => {
        const bytes = encodeFile(tensors);
        const cut = bytes.subarray(0, Math.floor(share * bytes.byteLength));
        assert.throws(() => decodeFile(cut), { code: 'SAFETENSORS_INVALID' });
      },
    ),
  );
});

test('a changed byte in the header is refused or gives tensors that still account for the whole file', () => {
  fc.assert(
    fc.property(tensorList, fc.nat(), fc.integer({ min: 1, max: 255 }), (tensors, at, change) => {
      const bytes = encodeFile(tensors);
      bytes[at % (bytes.byteLength - dataBytesOf(tensors))]! ^= change;
      decodesCleanly(bytes);
    }),
    { numRuns: 1000 },
  );
});

test('random bytes never do more than be refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.json(), (tail, json) => {
      decodesCleanly(tail);
      decodesCleanly(fileWith(json, tail.byteLength));
    }),
    { numRuns: 500 },
  );
});
