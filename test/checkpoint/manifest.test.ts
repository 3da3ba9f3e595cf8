import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeManifest, encodeManifest } from '../../src/checkpoint/manifest.js';

const files = [
  { name: 'model.safetensors', bytes: 100, sha256: 'a'.repeat(64) },
  { name: 'state.json', bytes: 7, sha256: '0123456789abcdef'.repeat(4) },
];
const text = encodeManifest(30, 2, files);

test('a manifest is read back as it was written', () => {
  assert.deepEqual(decodeManifest(text), {
    status: 'whole',
    manifest: { format: 'lockstep-checkpoint-1', step: 30, term: 2, files },
  });
});

test('a manifest cut off anywhere is torn', () => {
  for (let length = 0; length < text.length; length++) {
    assert.equal(decodeManifest(text.slice(0, length)).status, 'unfinished', `${length} characters`);
  }
});

test('a manifest with a changed character is never valid, save in the space between its values', () => {
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.integer({ min: 0x21, max: 0x7e }), (at, code) => {
      if (text[at]!.trim() === '' || text.charCodeAt(at) === code) return;
      const changed = text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1);
      assert.notEqual(decodeManifest(changed).status, 'whole', changed);
    }),
    { numRuns: 2000 },
  );
});

test('a manifest cannot name a file outside its directory', () => {
  for (const name of ['../x', '/etc/passwd', 'a/b', '.hidden', '']) {
    const [first] = files;
    assert.equal(decodeManifest(encodeManifest(1, 1, [{ ...first!, name }])).status, 'damaged', name);
  }
});
