import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { splitWords } from '../../src/data/byte-level.js';
import { bytesToChange, HELD_OUT_BLOCK_BYTES, isHeldOut, leastShare } from '../../src/data/held-out.js';
import { findInputs } from '../../src/data/inputs.js';
import { MAX_LINE_BYTES, readPieces, type Piece } from '../../src/data/pieces.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { userError } from '../support/user-error.js';
import { story, writeInput } from './support.js';

async function piecesOf(paths: readonly string[], pieceBytes: number, heldOutShare = 0): Promise<Piece[]> {
  const pieces: Piece[] = [];
  for await (const piece of readPieces(await findInputs(paths, false), { heldOutShare, pieceBytes }))
    pieces.push(piece);
  return pieces;
}

function textOf(piece: Piece): string {
  return Buffer.from(piece.bytes).toString('utf8');
}

test('text comes whole, in pieces whose words are the words of the text', async (t) => {
  const folder = await temporaryDirectory(t);
  // What is hard to cut: white space beyond ASCII, long runs of it, long words, characters of many bytes.
  const unit = fc.constantFrom(
    'sea',
    ' ',
    '\n',
    '  \n\n ',
    '\u00a0\n',
    '\u3000 ',
    '中文字符',
    '😀',
    '\r\n',
    "it's",
    'a'.repeat(50),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(unit, { minLength: 1, maxLength: 200 }), async (units) => {
      const text = units.join('');
      const pieces = await piecesOf([await writeInput(folder, 'a.txt', text)], 64);
      assert.equal(pieces.map(textOf).join(''), text);
      assert.deepEqual(
        pieces.flatMap((piece) => splitWords(textOf(piece))),
        splitWords(text),
      );
      assert.deepEqual(
        pieces.map((piece) => piece.endsDocument),
        pieces.map((_, i) => i === pieces.length - 1),
      );
    }),
    { numRuns: 60 },
  );
});

test('text without any space is cut between characters, in bounded pieces', async (t) => {
  const text = '海'.repeat(20_000);
  const path = await writeInput(await temporaryDirectory(t), 'a.txt', text);
  for (const heldOutShare of [0, 0.3]) {
    const pieces = await piecesOf([path], 1000, heldOutShare);
    assert.equal(pieces.map(textOf).join(''), text);
    assert.ok(pieces.every((piece) => !textOf(piece).includes('\ufffd')));
    // A piece may have to go on to the end of a character, the last one up to 4 KiB more.
    assert.ok(pieces.length > 50 && pieces.slice(0, -1).every((piece) => piece.bytes.length <= 1003));
  }
});

test('a compressed file gives the pieces of the plain one, also when it has several members', async (t) => {
  const folder = await temporaryDirectory(t);
  const text = story(5000);
  const plain = await piecesOf([await writeInput(folder, 'a.txt', text)], 1000, 0.1);
  const members = [gzipSync(text.slice(0, 7777)), gzipSync(text.slice(7777))];
  const zipped = await piecesOf([await writeInput(folder, 'b.txt.gz', Buffer.concat(members))], 1000, 0.1);
  const bare = (pieces: Piece[]): object[] => pieces.map((piece) => ({ ...piece, diskBytes: 0 }));
  assert.deepEqual(bare(zipped), bare(plain));
});

test('a damaged compressed file is an error that names it', async (t) => {
  const folder = await temporaryDirectory(t);
  const cut = await writeInput(folder, 'cut.txt.gz', gzipSync(story(5000)).subarray(0, 2000));
  await assert.rejects(piecesOf([cut], 1000), userError('INPUT_DAMAGED', /cut\.txt\.gz/));
  const garbage = await writeInput(folder, 'garbage.jsonl.gz', 'not compressed');
  await assert.rejects(piecesOf([garbage], 1000), userError('INPUT_DAMAGED', /garbage/));
});

test('text is held out in contiguous stretches, offsets count through all files', async (t) => {
  const folder = await temporaryDirectory(t);
  const paths = [
    await writeInput(folder, 'a.txt.gz', gzipSync(story(30_000))),
    await writeInput(folder, 'b.txt', story(30_000, 2)),
  ];
  const pieces = await piecesOf(paths, 50_000, 0.1);
  let offset = 0;
  for (const piece of pieces) {
    assert.equal(piece.offset, offset);
    assert.equal(piece.heldOut, isHeldOut(offset, 0.1));
    offset += piece.bytes.length;
  }
  const held = pieces.filter((piece) => piece.heldOut);
  assert.ok(held.length > 2);
  for (const piece of held) {
    assert.ok(piece.endsDocument);
    assert.ok(Math.abs(piece.bytes.length - HELD_OUT_BLOCK_BYTES) < 200, `${piece.bytes.length}`);
  }
});

test('lines stay whole, whatever the size of the pieces', async (t) => {
  const folder = await temporaryDirectory(t);
  const line = fc.string({ unit: fc.constantFrom('a', '"', 'é', '\r'), maxLength: 150 });
  await fc.assert(
    fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 30 }), fc.boolean(), async (lines, last) => {
      const text = lines.join('\n') + (last ? '\n' : '');
      fc.pre(text !== '');
      const pieces = await piecesOf([await writeInput(folder, 'a.jsonl', text)], 64);
      assert.equal(pieces.map(textOf).join(''), text);
      assert.ok(pieces.slice(0, -1).every((piece) => piece.bytes.at(-1) === 0x0a));
    }),
    { numRuns: 60 },
  );
});

test('a line beyond the limit is passed over, and the next one is read', async (t) => {
  const path = await writeInput(
    await temporaryDirectory(t),
    'a.jsonl',
    `{}\n${'x'.repeat(MAX_LINE_BYTES + 5)}\n{"b":1}\n`,
  );
  const pieces = await piecesOf([path], 2 ** 20);
  assert.deepEqual(
    pieces.map((piece) => [piece.tooLong, textOf(piece)]),
    [
      [false, '{}\n'],
      [true, ''],
      [false, '{"b":1}\n'],
    ],
  );
});

test('a byte order mark is no text, and an empty file no piece', async (t) => {
  const folder = await temporaryDirectory(t);
  const marked = await writeInput(folder, 'a.txt', '\ufeffsea');
  const empty = await writeInput(folder, 'b.txt', '');
  assert.deepEqual((await piecesOf([marked, empty], 100)).map(textOf), ['sea']);
});

test('the share held out is exact, block by block', () => {
  for (const share of [0, 0.01, 0.05, 0.3, 0.5]) {
    const blocks = Array.from({ length: 10_000 }, (_, block) =>
      isHeldOut(block * HELD_OUT_BLOCK_BYTES + 5, share),
    );
    assert.equal(blocks.filter((held) => held).length, Math.round(10_000 * share));
    if (share > 0) assert.ok(Math.abs(blocks.indexOf(true) - 0.5 / share) <= 1);
  }
});

test('the least share that is advised holds out something, and leaves something', () => {
  for (let blocks = 1; blocks < 300; blocks++) {
    const share = leastShare((blocks - 1) * HELD_OUT_BLOCK_BYTES + 1, HELD_OUT_BLOCK_BYTES);
    if (blocks === 1) assert.equal(share, null);
    else {
      const held = Array.from({ length: blocks }, (_, i) => isHeldOut(i * HELD_OUT_BLOCK_BYTES, share!));
      assert.ok(held.includes(true) && held.includes(false), `${blocks} blocks: ${share}`);
    }
  }
});

test('the distance to the next change of part is exact', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 10_000_000 }),
      fc.double({ min: 0.01, max: 0.5, noNaN: true }),
      (offset, share) => {
        const distance = bytesToChange(offset, share, 2 ** 30);
        const here = isHeldOut(offset, share);
        assert.notEqual(isHeldOut(offset + distance, share), here);
        assert.equal(isHeldOut(offset + distance - 1, share), here);
        assert.equal(bytesToChange(offset, share, 10), Math.min(10, distance));
      },
    ),
  );
});
