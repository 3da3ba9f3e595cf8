// Keys of the config that were given as options: `train … --steps 100` where `--set steps=100` was meant.

/** The commands that take `--set`. */
const TAKE_KEYS = ['train', 'coordinator'];

/**
 * What to type instead, when an option that a message calls unknown is named like a key of the config; null otherwise.
 * @param argv the whole command line
 */
export async function keyAdvice(message: string, argv: readonly string[]): Promise<string | null> {
  const option = /unknown option '--([\w.-]+)/.exec(message)?.[1];
  if (option === undefined || !argv.some((word) => TAKE_KEYS.includes(word))) return null;
  const { allKeys } = await import('../config/json-schema.js');
  const name = plain(option);
  const keys = allKeys().filter((key) => plain(key) === name || plain(key.split('.').at(-1)!) === name);
  if (keys.length === 0) return null;
  return `keys of the config are set so: ${keys.map((key) => `--set ${key}=…`).join(' or ')}`;
}

/** --learning-rate is learningRate. */
function plain(name: string): string {
  return name.replaceAll('-', '').toLowerCase();
}
