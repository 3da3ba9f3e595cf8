// A folder of files, as a shared directory and an object store can both offer it: files appear once and whole, by
// exclusive creation, and nothing is renamed, locked or dated. Checkpoints and terms are made of nothing else.

/** What lies directly in a folder; `bytes` is null for a folder in it. */
export interface Entry {
  readonly name: string;
  readonly bytes: number | null;
}

/** A file opened for reading. Reads are by position, so they may overlap. */
export interface OpenFile {
  readonly bytes: number;
  /** Fills `into` (it may lie on a SharedArrayBuffer) from byte `position`; throws when the file ends first. */
  read(into: Uint8Array, position: number): Promise<void>;
  close(): Promise<void>;
}

/** What a file that was written by slices came to be. */
export interface SealedFile {
  readonly bytes: number;
  /** In hex. */
  readonly sha256: string;
}

export interface Folder {
  /** The folder as a user writes it: a path, or s3://bucket/prefix. */
  readonly url: string;

  /** The folder of that name in this one, which need not exist. */
  at(name: string): Folder;

  /** Makes this folder and those above it. False when it is there already: of many callers exactly one gets true. */
  make(): Promise<boolean>;

  /** What lies in this folder; nothing when there is no such folder. Storage over a network may lag behind. */
  list(): Promise<Entry[]>;

  /** All bytes of a small file; null when there is none. */
  read(file: string): Promise<Uint8Array | null>;

  /** Opens a file. Throws when there is none. */
  open(file: string): Promise<OpenFile>;

  /**
   * Creates a file with all of `data` or not at all, for good when the promise resolves. False when there is one with other
   * content: of many callers with data of their own exactly one gets true. Never makes the folder.
   */
  create(file: string, data: string | Uint8Array): Promise<boolean>;

  /** Sets a small file's content, where only one process writes it. A reader may meet the old content, or half of the new. */
  replace(file: string, data: string): Promise<void>;

  /**
   * Makes room for a new file of `bytes` bytes that begins with `head` and holds zeros. Returns the path on this machine at
   * which its ranges are written (writeSlice), by any thread and in any order, until it is sealed.
   */
  allocate(file: string, head: Uint8Array, bytes: number): Promise<string>;

  /** Ends the writing of an allocated file: its bytes are stored for good when the promise resolves. */
  seal(file: string): Promise<SealedFile>;

  /** Deletes a file, if it is there. */
  remove(file: string): Promise<void>;

  /** Deletes this folder with all that is in it, if it is there. */
  removeAll(): Promise<void>;
}

/** Text of a small file; null when there is none. */
export async function readText(folder: Folder, file: string): Promise<string | null> {
  const bytes = await folder.read(file);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

/** A file as messages name it. */
export function nameOf(folder: Folder, file: string): string {
  return `${folder.url}/${file}`;
}
