// The environment variables that TensorFlow reads, once, when it is loaded: it has no other way to be told.

/**
 * Must run before the package is loaded, in a thread whose environment is the process's (`SHARE_ENV`). What the user
 * has set stays, except what the results or the number of threads depend on.
 */
export function prepareEnvironment(threads: number): void {
  const always = {
    TF_DETERMINISTIC_OPS: '1',
    TF_NUM_INTRAOP_THREADS: String(threads),
    TF_NUM_INTEROP_THREADS: '1', // operations run one after another
  };
  const unlessSet = {
    TF_FORCE_GPU_ALLOW_GROWTH: 'true', // without it one process takes a GPU's whole memory
    TF_ENABLE_ONEDNN_OPTS: '1', // its allocator keeps large blocks: several times as fast for large tensors
    TF_CPP_MIN_LOG_LEVEL: '2', // errors
  };
  Object.assign(process.env, always);
  for (const [name, value] of Object.entries(unlessSet)) process.env[name] ??= value;
}
