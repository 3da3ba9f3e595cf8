// The optimiser's settings, as a run's config gives them.

export type ScheduleKind = 'inverse-square-root' | 'cosine' | 'linear' | 'constant';

/** How the learning rate moves; every kind starts with a linear warm-up. */
export interface ScheduleConfig {
  readonly kind: ScheduleKind;
  /** Steps until the peak is reached; 0: the first step is at the peak. */
  readonly warmupSteps: number;
  /** `cosine` and `linear`: the last step's learning rate as a part of the peak, 0 (the default) to 1. */
  readonly finalRatio?: number | undefined;
}

export interface OptimizerConfig {
  /** The peak of the schedule. */
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled; not applied to biases and norms. */
  readonly weightDecay: number;
  /** The largest global norm of the mean gradient; null: no clipping. */
  readonly clipNorm: number | null;
  readonly schedule: ScheduleConfig;
}
