// manifest.json: the list of a checkpoint's files with their sizes and SHA-256 sums, written last. A directory
// whose manifest is missing or does not hold together is no checkpoint for any reader.

import { z } from 'zod';
import { UserError } from '../util/errors.js';
import { jsonText } from '../util/json.js';
import { readText, type Folder } from './folder.js';
import { hashBytes } from './hash.js';

export const MANIFEST = 'manifest.json';
const FORMAT = 'lockstep-checkpoint-1';

const bodySchema = z.strictObject({
  format: z.literal(FORMAT),
  step: z.int().nonnegative(),
  term: z.int().nonnegative(),
  files: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
        bytes: z.int().nonnegative(),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
      }),
    )
    .min(1),
});
const fileSchema = bodySchema.extend({ digest: z.string() });

export interface ManifestFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Manifest {
  readonly format: typeof FORMAT;
  /** Version of the parameters. */
  readonly step: number;
  /** Incarnation of the coordinator that wrote it. */
  readonly term: number;
  readonly files: readonly ManifestFile[];
}

/**
 * What is found in place of a manifest. `unfinished`: it was never finished (missing, empty or cut off), as a crash leaves it.
 * `damaged`: it was finished and is damaged since.
 */
export type ManifestResult =
  | { readonly status: 'whole'; readonly manifest: Manifest }
  | { readonly status: 'unfinished' | 'damaged'; readonly problem: string };

export function totalBytes(files: readonly ManifestFile[]): number {
  return files.reduce((sum, file) => sum + file.bytes, 0);
}

/** SHA-256 over the body, so that damage to the manifest itself is seen. */
function digestOf({ format, step, term, files }: Manifest): string {
  const canonical = [format, step, term, files.map(({ name, bytes, sha256 }) => [name, bytes, sha256])];
  return hashBytes(JSON.stringify(canonical));
}

/** The text of manifest.json. */
export function encodeManifest(step: number, term: number, files: readonly ManifestFile[]): string {
  const manifest: Manifest = { format: FORMAT, step, term, files };
  return jsonText({ ...manifest, digest: digestOf(manifest) });
}

/** Parses manifest.json's text. */
export function decodeManifest(text: string): ManifestResult {
  // Only the outermost brace stands at the start of a line.
  if (!text.endsWith('\n}\n')) return { status: 'unfinished', problem: `${MANIFEST} is cut off` };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { status: 'damaged', problem: `${MANIFEST} is not JSON` };
  }
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    return { status: 'damaged', problem: `${MANIFEST}: ${issue.path.join('.')}: ${issue.message}` };
  }
  const { digest, ...manifest } = parsed.data;
  if (digest !== digestOf(manifest)) {
    return {
      status: 'damaged',
      problem: `${MANIFEST} does not have its own digest: it was changed after it was written`,
    };
  }
  return { status: 'whole', manifest };
}

/** The first file of the manifest that is missing or has another size, as a sentence; null when all fit. */
async function sizeProblem(folder: Folder, files: readonly ManifestFile[]): Promise<string | null> {
  const found = new Map((await folder.list()).map((entry) => [entry.name, entry.bytes]));
  for (const { name, bytes } of files) {
    const size = found.get(name);
    if (size === undefined || size === null) return `${name} is missing`;
    if (size !== bytes) return `${name} has ${size} bytes, expected ${bytes}`;
  }
  return null;
}

/** Reads a folder's manifest and compares the files' sizes with it, not their sums. */
export async function inspectManifest(folder: Folder): Promise<ManifestResult> {
  const text = await readText(folder, MANIFEST);
  if (text === null) return { status: 'unfinished', problem: `it has no ${MANIFEST}` };
  const result = decodeManifest(text);
  if (result.status !== 'whole') return result;
  const problem = await sizeProblem(folder, result.manifest.files);
  return problem === null ? result : { status: 'damaged', problem };
}

/** The term that a checkpoint was written in, whatever else of it is damaged; null when its manifest does not tell. */
export async function termOf(folder: Folder): Promise<number | null> {
  const found = decodeManifest((await readText(folder, MANIFEST)) ?? '');
  return found.status === 'whole' ? found.manifest.term : null;
}

/** The refusal of a checkpoint that is damaged, or was never finished. */
export function badCheckpoint(folder: Folder, problem: string): UserError {
  return new UserError('CHECKPOINT_BAD', `${folder.url} is not a valid checkpoint: ${problem}`);
}
