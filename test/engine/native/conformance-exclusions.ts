// The tests of tfjs-core that conformance.test.ts leaves out, and why. None says anything about a backend.

export interface Exclusion {
  readonly reason: string;
  /** The suite's outermost `describe`. */
  readonly group: string;
  readonly specs: 'all' | readonly string[];
}

const DISABLED = 'The suite itself disables it, with `xit`.';

export const EXCLUSIONS: readonly Exclusion[] = [
  {
    reason: 'It saves models to IndexedDB, which only browsers have.',
    group: 'IndexedDB',
    specs: 'all',
  },
  {
    reason: 'It saves models to local storage, which only browsers have.',
    group: 'LocalStorage',
    specs: 'all',
  },
  {
    reason: 'It lists, copies and removes models in local storage and IndexedDB, which only browsers have.',
    group: 'ModelManagement',
    specs: 'all',
  },
  {
    reason: 'It looks for the handler of local storage, which only browsers have.',
    group: 'IORouterRegistry',
    specs: ['getSaveHandler succeeds', 'getLoadHandler succeeds'],
  },
  {
    reason: 'It downloads by a link in the page: Node has no `document`.',
    group: 'browserDownloads',
    specs: 'all',
  },
  {
    reason: 'It reads files that a user chose in a page: Node has no `FileReader`.',
    group: 'browserFiles',
    specs: [
      'One group, one path',
      'One group, two paths',
      'Two groups, four paths, reverseOrder=false',
      'Two groups, four paths, reverseOrder=true',
      'Upload model topology only',
      'Mismatch in number of paths and number of files',
      'Mismatch in manifest paths and file names',
      'Duplicate basenames in paths fails',
      'Missing modelTopology from JSON leads to Error',
    ],
  },
  {
    reason: 'It reads the request that it sent back with `FileReader`, which Node lacks.',
    group: 'http-save',
    specs: [
      'Save topology and weights, default POST method',
      'Save topology only, default POST method',
      'Save topology and weights, PUT method, extra headers',
    ],
  },
  {
    reason: 'It watches `window.fetch`: Node has no `window`.',
    group: 'http-load',
    specs: [
      'JSON model 1 group, 2 weights, 1 path',
      'JSON model 1 group, 2 weights, 1 path, with requestInit',
      'JSON model Provide WeightFileTranslateFunc',
    ],
  },
  {
    reason: 'It watches `self.fetch`: Node has no `self`.',
    group: 'PlatformBrowser',
    specs: ['fetch calls window.fetch'],
  },
  {
    reason:
      "It measures a browser's timers, which wait for 4 ms at least, and the browser platform's way around that.",
    group: 'setTimeout',
    specs: ['setTimeout', 'setTimeoutCustom'],
  },
  {
    reason: 'It draws on a canvas of the page: Node has no `document`.',
    group: 'draw on canvas context',
    specs: 'all',
  },
  {
    reason: "It reads the page's images, videos and canvases or an `ImageData`: Node has none of these.",
    group: 'fromPixels',
    specs: [
      'ImageData 1x1x3',
      'ImageData 1x1x4',
      'ImageData 2x2x3',
      'ImageData 2x2x4',
      'fromPixels, 3 channels',
      'fromPixels, reshape, then do tf.add()',
      'fromPixels + fromPixels',
      'fromPixels for HTMLCanvasElement',
      'fromPixels for HTMLImageElement',
      'fromPixels for HTMLVideoElement',
      'canvas and image match',
    ],
  },
  { reason: DISABLED, group: 'debug on', specs: ['A x B'] },
  { reason: DISABLED, group: 'IS_BROWSER', specs: ['isBrowser: true', 'isBrowser: false'] },
  { reason: DISABLED, group: 'kernel_registry', specs: ['errors when registering the same kernel twice'] },
  {
    reason: DISABLED,
    group: 'gradient registry',
    specs: ['warning when registering the same gradient twice'],
  },
];
