// The fast kernels against the naive ones and float64, and what they promise about bits.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { loadAddon } from '../../../src/engine/native/load.js';
import { ActivationCode, PrecisionCode } from '../../../src/engine/native/addon.js';
import { philox, RandomField } from '../../../src/util/philox.js';
import { assertWithin, noDropout, randoms } from './case.js';
import { activationGradient, cases } from './cases.js';

const addon = loadAddon();
const best = addon.info().isa;

function bitsOf(arrays: readonly Float32Array[]): Buffer {
  return Buffer.concat(arrays.map((array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength)));
}

const onlyWithAmx = { skip: best !== 'amx' && 'this processor has no AMX' };

/** Which parts of a and b are multiplied, in this order. */
const TERMS = {
  bfloat16: [[0, 0]],
  bfloat16x3: [
    [1, 0],
    [0, 1],
    [0, 0],
  ],
  bfloat16x6: [
    [2, 0],
    [1, 0],
    [1, 1],
    [0, 1],
    [0, 2],
    [0, 0],
  ],
} as const;

/** The nearest bfloat16 (ties away from zero), then the nearest to what it leaves; the last of them with ties to even. */
function partsOf(values: Float32Array, count: number): Float32Array[] {
  const rest = values.slice();
  const parts = Array.from({ length: count - 1 }, () => {
    const bits = new Uint32Array(rest.buffer).map((word) => (word + 0x8000) & 0xffff0000);
    const part = new Float32Array(bits.buffer);
    part.forEach((value, i) => (rest[i]! -= value));
    return part;
  });
  addon.roundToBfloat16(rest, rest.length);
  return [...parts, rest];
}

/**
 * Σ a[p] b[p] in the order of TDPBF16PS (Intel 64 and IA-32 Architectures Software Developer's Manual): of 32 terms those with
 * even p are one chain of multiply-adds that starts at zero, those with odd p another, and both together are added to the sum.
 */
function tiledDot(
  a: readonly Float32Array[],
  b: readonly Float32Array[],
  terms: readonly (readonly [number, number])[],
): number {
  let sum = 0;
  const { length } = a[0]!;
  for (let block = 0; block < length; block += 32) {
    for (const [left, right] of terms) {
      const chains = [0, 0];
      // A product of two bfloat16 and what it is added to fit into a float64: it is rounded once.
      for (let p = block; p < Math.min(block + 32, length); p++) {
        chains[p % 2] = Math.fround(chains[p % 2]! + a[left]![p]! * b[right]![p]!);
      }
      sum = Math.fround(sum + Math.fround(chains[0]! + chains[1]!));
    }
  }
  return sum;
}

describe('fast kernels', () => {
  after(() => {
    addon.setIsa(best);
    addon.setThreads(1);
  });

  for (const each of cases()) {
    test(`${each.name} equals the naive kernel`, () =>
      assertWithin(each, each.run(addon), each.run(addon.naive)));
  }

  test('results have the same bits for 1, 2, 3 and 4 threads', () => {
    for (const { name, run } of cases()) {
      addon.setThreads(1);
      const expected = bitsOf(run(addon));
      for (const threads of [2, 3, 4]) {
        addon.setThreads(threads);
        assert.ok(bitsOf(run(addon)).equals(expected), `${name} with ${threads} threads`);
      }
    }
  });

  test('every instruction set has the same bits, but for the products of one that does not fuse multiply-add', () => {
    for (const { name, matmul, precision = 'float32', run } of cases()) {
      addon.setIsa(precision === 'float32' ? best : 'avx512bf16'); // AMX: see below
      const expected = bitsOf(run(addon));
      for (const isa of ['avx512', 'avx2', ...(matmul ? [] : (['sse2'] as const))] as const) {
        addon.setIsa(isa);
        assert.ok(bitsOf(run(addon)).equals(expected), `${name} on ${addon.info().isa}`);
      }
    }
  });

  test('products of bfloat16 with subnormal operands, products and sums have the same bits with and without its instruction', () => {
    const [m, k, n] = [40, 2, 50];
    const scaled = (values: Float32Array, seed: number): Float32Array => {
      const exponents = randoms(values.length, seed);
      return values.map((value, i) => value * 2 ** Math.round(-75 + 70 * exponents[i]!));
    };
    const [x, w] = [scaled(randoms(m * k, 1), 3), scaled(randoms(n * k, 2), 4)];
    const products = (['avx2', 'avx512', 'avx512bf16'] as const).map((isa) => {
      addon.setIsa(isa);
      const y = new Float32Array(m * n);
      addon.linear(x, w, null, y, null, m, k, n, ActivationCode.none, PrecisionCode.bfloat16);
      return y;
    });
    const smallest = 2 ** -126;
    assert.ok(products[0]!.some((value) => value !== 0 && Math.abs(value) < 100 * smallest));
    for (const product of products) assert.ok(bitsOf([product]).equals(bitsOf([products[0]!])));
  });

  test('what is no product of bfloat16 has the same bits with AMX and without', onlyWithAmx, () => {
    for (const { name, precision = 'float32', run } of cases()) {
      if (precision !== 'float32') continue;
      const [with_, without] = (['amx', 'avx512bf16'] as const).map((isa) => {
        addon.setIsa(isa);
        return bitsOf(run(addon));
      });
      assert.ok(with_!.equals(without!), name);
    }
  });

  for (const [precision, terms] of Object.entries(TERMS)) {
    for (const [m, k, n] of [
      [1, 1, 1],
      [33, 70, 50],
      [20, 600, 48],
      [129, 64, 33],
    ] as const) {
      test(
        `products of ${precision} with AMX are added as its specification says: ${m}×${k}×${n}`,
        onlyWithAmx,
        () => {
          const [x, w] = [randoms(m * k, 1), randoms(n * k, 2)];
          const y = new Float32Array(m * n);
          addon.setIsa('amx');
          const code = PrecisionCode[precision as keyof typeof TERMS];
          addon.linear(x, w, null, y, null, m, k, n, ActivationCode.none, code);
          const count = 1 + Math.max(...terms.flat());
          const [xParts, wParts] = [partsOf(x, count), partsOf(w, count)];
          const row = (parts: Float32Array[], i: number) =>
            parts.map((part) => part.subarray(i * k, (i + 1) * k));
          for (let i = 0; i < m; i++) {
            for (let j = 0; j < n; j++) {
              const expected = tiledDot(row(xParts, i), row(wParts, j), terms);
              const at = `at ${i}, ${j}: ${y[i * n + j]}, expected ${expected}`;
              assert.ok(Object.is(y[i * n + j], expected), at);
            }
          }
        },
      );
    }
  }

  test('six products of parts are as exact as float32, three to 2^-16', () => {
    const [m, k, n] = [16, 500, 16];
    const [x, w] = [randoms(m * k, 1), randoms(n * k, 2)];
    const worst = (precision: keyof typeof PrecisionCode): number => {
      const y = new Float32Array(m * n);
      addon.linear(x, w, null, y, null, m, k, n, ActivationCode.none, PrecisionCode[precision]);
      return Math.max(
        ...Array.from(y, (value, at) => {
          const terms = Array.from(
            { length: k },
            (_, p) => x[((at / n) | 0) * k + p]! * w[(at % n) * k + p]!,
          );
          const sum = (values: number[]) => values.reduce((total, term) => total + term, 0);
          return Math.abs(value - sum(terms)) / sum(terms.map(Math.abs));
        }),
      );
    };
    // Without AMX's chains each of the products is rounded by itself.
    for (const [isa, atMost] of [
      ['avx2', 3],
      ['amx', best === 'amx' ? 1 : 3],
    ] as const) {
      addon.setIsa(isa);
      const exact = worst('float32');
      assert.ok(worst('bfloat16x6') <= atMost * exact, `${isa}: ${worst('bfloat16x6')}, float32 ${exact}`);
      assert.ok(
        worst('bfloat16x3') > exact && worst('bfloat16x3') < 2 ** -16,
        `${isa}: ${worst('bfloat16x3')}`,
      );
    }
  });

  test('without fused multiply-add products are as exact', () => {
    addon.setIsa('sse2');
    for (const each of cases()) {
      if (each.matmul) assertWithin(each, each.run(addon), each.run(addon.naive));
    }
  });
});

describe('elementary functions', () => {
  const x = Float32Array.from({ length: 40001 }, (_, i) => (i - 20000) / 200); // [-100, 100]

  test('exponential is within 2e-7 of Math.exp', () => {
    const out = new Float32Array(x.length);
    addon.elementary.exponential(x, out);
    x.forEach((value, i) => {
      const expected = Math.exp(value);
      // Below the normal numbers the error is half a unit of the smallest subnormal.
      if (expected < 2 ** 128)
        assert.ok(Math.abs(out[i]! - expected) <= 2e-7 * expected + 1e-45, `at ${value}`);
      else assert.equal(out[i], Infinity);
    });
  });

  test('exponential keeps NaN, and takes the infinities to 0 and Infinity', () => {
    const out = new Float32Array(4);
    addon.elementary.exponential(Float32Array.of(NaN, -Infinity, Infinity, 0), out);
    assert.deepEqual([...out], [NaN, 0, Infinity, 1]);
  });

  const smooth = [
    { name: 'gelu', formula: 'x Φ(x)', at: (z: number) => z * normalCdf(z) },
    { name: 'swish', formula: 'x σ(x)', at: (z: number) => z / (1 + Math.exp(-z)) },
  ] as const;

  for (const { name, formula, at } of smooth) {
    const code = ActivationCode[name];
    const activated = (z: Float32Array) => activation(z, code);
    const slopes = (z: Float32Array) =>
      activationGradient(addon, new Float32Array(z.length).fill(1), z, code);

    test(`${name} is within 2e-7 |x| of ${formula}, and keeps NaN and the infinities`, () => {
      const z = Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) / 250); // [-8, 8]
      const y = activated(z);
      z.forEach((value, i) => {
        assert.ok(Math.abs(y[i]! - at(value)) <= 2e-7 * Math.abs(value), `at ${value}`);
      });
      assert.deepEqual([...activated(Float32Array.of(NaN, -Infinity, Infinity))], [NaN, -0, Infinity]);
    });

    test(`${name}'s gradient is the slope of ${formula}, 0 and 1 at the infinities`, () => {
      const z = Float32Array.from({ length: 401 }, (_, i) => (i - 200) / 25);
      const dz = slopes(z);
      z.forEach((value, i) => {
        const h = 1e-4;
        const slope = (at(value + h) - at(value - h)) / (2 * h);
        assert.ok(Math.abs(dz[i]! - slope) < 1e-6, `at ${value}`);
      });
      const far = slopes(Float32Array.of(NaN, -Infinity, Infinity, 1e30));
      assert.deepEqual([...far].map(Math.abs), [NaN, 0, 1, 1]);
    });
  }

  test('swish is within 4e-7 of itself also where it is nearly 0', () => {
    const z = Float32Array.from({ length: 801 }, (_, i) => -i / 10); // [-80, 0]
    const y = activation(z, ActivationCode.swish);
    z.forEach((value, i) => {
      const expected = value / (1 + Math.exp(-value));
      assert.ok(Math.abs(y[i]! - expected) <= 4e-7 * Math.abs(expected), `at ${value}`);
    });
  });

  test('activations and their gradients have the same bits on every instruction set', () => {
    const z = Float32Array.of(NaN, -Infinity, Infinity, ...randoms(5000, 3, 120), ...randoms(5000, 4, 4));
    const dy = randoms(z.length, 5);
    const results = (['avx512', 'avx2', 'sse2'] as const).map((isa) => {
      addon.setIsa(isa);
      return Object.values(ActivationCode)
        .filter((code) => code !== ActivationCode.none)
        .flatMap((code) => [activation(z, code), activationGradient(addon, dy, z, code)]);
    });
    addon.setIsa(best);
    for (const result of results) assert.ok(bitsOf(result).equals(bitsOf(results[0]!)));
  });
});

/** What a layer of one weight, 1, gives: activation(z). */
function activation(z: Float32Array, code: ActivationCode): Float32Array {
  const y = new Float32Array(z.length);
  addon.linear(z, Float32Array.of(1), null, y, null, z.length, 1, 1, code, PrecisionCode.float32);
  return y;
}

/** Φ(x) in float64, by the series Φ(x) = ½ + φ(x) Σ x^(2n+1) / (2n+1)!!; below zero by symmetry. */
function normalCdf(x: number): number {
  if (x < 0) return 1 - normalCdf(-x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 && n < 300; n++) {
    term *= (x * x) / (2 * n + 1);
    sum += term;
  }
  return 0.5 + (sum * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI);
}

describe('random words', () => {
  test("Philox gives the published known answers (Random123's kat_vectors)", () => {
    const out = new Uint32Array(4);
    const ones = 0xffffffff;
    philox(out, 0, 0, 0, 0, 0, 0);
    assert.deepEqual([...out], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    philox(out, ones, ones, ones, ones, ones, ones);
    assert.deepEqual([...out], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
    philox(out, 0xa4093822, 0x299f31d0, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344);
    assert.deepEqual([...out], [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
  });

  test('dropout keeps exactly the elements whose word in TypeScript reaches rate * 2^32', () => {
    const dropouts = [
      { rate: 0.5, site: 0, key: { seed: 0, step: 0, microBatch: 0 } },
      { rate: 0.1, site: 16, key: { seed: 2 ** 53 - 1, step: 2 ** 32 - 1, microBatch: 77 } },
      { rate: 1 - 2 ** -33, site: 2 ** 20, key: { seed: 123456789, step: 3, microBatch: 2 ** 31 } },
    ];
    for (const dropout of dropouts) {
      const field = new RandomField({ ...dropout.key, site: dropout.site });
      const scale = Math.fround(1 / (1 - dropout.rate));
      for (const first of [0, 3, 1001, 2 ** 33 + 1]) {
        const out = new Float32Array(300);
        addon.elementary.dropoutFactors(out, first, dropout);
        const kept = (i: number): boolean => field.word(first + i) >= Math.round(dropout.rate * 2 ** 32);
        assert.deepEqual(
          [...out],
          Array.from(out, (_, i) => (kept(i) ? scale : 0)),
        );
      }
    }
  });
});

describe('bfloat16', () => {
  const view = new DataView(new ArrayBuffer(4));
  const fromBits = (bits: number): number => (view.setUint32(0, bits), view.getFloat32(0));

  test('rounding is to the nearest, ties to even, on every instruction set', () => {
    const pairs: [number, number][] = [
      [0x3f800000, 0x3f80],
      [0x3f808000, 0x3f80], // a tie: down to even
      [0x3f818000, 0x3f82], // a tie: up to even
      [0x3f808001, 0x3f81],
      [0x7f7fffff, 0x7f80], // beyond the largest bfloat16
      [0x00000001, 0x0000],
      [0x80000000, 0x8000],
      [0xff800000, 0xff80],
      [0x00018000, 0x0002], // subnormal
    ];
    const values = Float32Array.from([...pairs, ...pairs], ([bits]) => fromBits(bits));
    for (const isa of ['sse2', 'avx2', 'avx512'] as const) {
      addon.setIsa(isa);
      const out = new Uint16Array(values.length);
      addon.packBfloat16(values, out, values.length);
      assert.deepEqual(
        [...out],
        [...pairs, ...pairs].map(([, half]) => half),
      );
    }
  });

  test('a result is stored as the same bfloat16 on every instruction set, whatever it is', () => {
    const bits = [
      0, 1, 0x7fff, 0x8000, 0x8001, 0x18000, 0x7f8000, 0x800000, 0x3f808000, 0x3f818000, 0x3f808001,
    ];
    const special = [0x7f7fffff, 0x7f7f8000, 0x7f800000, 0x7f800001, 0x7fc12345, 0x7fffffff];
    const words = [...bits, ...special].flatMap((word) => [word, (word | 0x80000000) >>> 0]);
    const sums = new Float32Array(Uint32Array.from(words).buffer);
    const results = (['sse2', 'avx2', 'avx512', 'avx512bf16', 'amx'] as const).map((isa) => {
      addon.setIsa(isa);
      const [sum, zeros, dx] = [sums.slice(), new Float32Array(sums.length), new Uint16Array(sums.length)];
      const [stats, ones] = [Float32Array.of(0, 1), new Float32Array(sums.length).fill(1)];
      // Of a row whose own gradient is 0, dx is what comes from elsewhere: dSum.
      addon.addDropoutNormGradient(
        ...([zeros, null, sum, zeros, ones, stats, null, dx, zeros.slice(), zeros.slice()] as const),
        ...([1, sums.length, noDropout] as const),
      );
      return [...dx];
    });
    addon.setIsa(best);
    for (const result of results) assert.deepEqual(result, results[0]);
    const expected = {
      0x3f808000: 0x3f80,
      0x3f818000: 0x3f82,
      0x7fff: 0,
      0x7f8000: 0,
      0x7f7fffff: 0x7f80,
      0x7f800000: 0x7f80,
    };
    for (const [word, half] of Object.entries(expected))
      assert.equal(results[0]![words.indexOf(Number(word))], half, word);
    assert.equal(results[0]![words.indexOf(0x7f800001)]! & 0x7fc0, 0x7fc0);
  });

  test('NaN stays NaN, even when all of its upper mantissa is zero', () => {
    const values = new Float32Array(20);
    new Uint32Array(values.buffer).fill(0x7f800001);
    addon.roundToBfloat16(values, 20);
    assert.ok(values.every((value) => Number.isNaN(value)));
  });
});

describe('squares', () => {
  test('a NaN or an Infinity anywhere makes the sum of squares non-finite', () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const values = randoms(70000, 1);
      values[69999] = bad;
      assert.ok(!Number.isFinite(addon.sumOfSquares(values, values.length)));
    }
  });

  test('squares beyond float32 are summed', () => {
    assert.equal(addon.sumOfSquares(Float32Array.of(2 ** 100, 2 ** 100), 2), 2 ** 201);
  });
});
