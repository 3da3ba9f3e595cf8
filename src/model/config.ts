// The shape of a model and the ids of its special tokens: what a checkpoint's config.json says.

export type NormPlacement = 'post' | 'pre';
export type Activation = 'relu' | 'gelu' | 'swish';

/** An encoder-decoder Transformer ("Attention Is All You Need"). */
export interface ModelConfig {
  readonly vocabularySize: number; // V
  readonly width: number; // d (d_model)
  readonly heads: number; // H; d % H = 0
  readonly feedForward: number; // F
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  readonly maxLength: number; // longest source or target, in tokens
  readonly dropout: number; // on embeddings and on each sub-layer's output; 0 ≤ p < 1
  /** `post` is the paper's (Marian); `pre` normalises before each sub-layer and at the end (Pegasus). */
  readonly norm: NormPlacement;
  readonly activation: Activation;
  readonly padId: number;
  readonly endId: number;
  /** The token the decoder starts from. Marian's convention: the pad token. */
  readonly startId: number;
}
