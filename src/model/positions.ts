// The sinusoidal positions of "Attention Is All You Need" (3.5), as Hugging Face's Marian and Pegasus lay them
// out: sines in the first half of a row, cosines in the second, where the paper interleaves them.

/**
 * [maxLength, width], row by row, from position 0. Computed in float64 and rounded once, as Hugging Face does
 * (transformers, MarianSinusoidalPositionalEmbedding.create_weight).
 */
export function sinusoidalPositions(maxLength: number, width: number): Float32Array {
  const positions = new Float32Array(maxLength * width);
  const sines = Math.ceil(width / 2);
  for (let pair = 0; pair < sines; pair++) {
    const wavelength = Math.pow(10000, (2 * pair) / width); // over 2π
    for (let position = 0; position < maxLength; position++) {
      const angle = position / wavelength;
      positions[position * width + pair] = Math.sin(angle);
      if (sines + pair < width) positions[position * width + sines + pair] = Math.cos(angle);
    }
  }
  return positions;
}
