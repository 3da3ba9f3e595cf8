// The page's connection to the coordinator: the view, folded from the feed's events as the coordinator folds it. It
// comes back by itself, and says so when nothing was heard for a while.
import { emptyView, fold, viewedKinds } from '../src/live/run-view.js';

/** @import { RunView, TimedEvent } from '../src/live/run-view.js' */

/** The coordinator tells of its workers every second. */
const SILENT_MS = 6000;
const AGAIN_MS = 2000;

/**
 * @param {(view: RunView) => void} onView told of the view whenever it changes
 * @param {(isLost: boolean) => void} onLost
 */
export function follow(onView, onLost) {
  let view = emptyView;
  let heardAt = performance.now();
  /** @type {EventSource} */
  let source;

  const heard = (/** @type {RunView} */ next) => {
    view = next;
    heardAt = performance.now();
    onLost(false);
    onView(view);
  };

  const open = () => {
    source?.close();
    source = new EventSource('api/events');
    source.addEventListener('view', ({ data }) => heard(JSON.parse(data)));
    for (const kind of viewedKinds) {
      source.addEventListener(kind, ({ data }) =>
        heard(fold(view, /** @type {TimedEvent} */ (JSON.parse(data)))),
      );
    }
    source.addEventListener('error', () => onLost(true));
  };

  open();
  setInterval(() => {
    if (performance.now() - heardAt <= SILENT_MS) return;
    onLost(true);
    // A browser gives some failures up for good; this never does.
    if (source.readyState === EventSource.CLOSED || performance.now() - heardAt > 3 * SILENT_MS) open();
  }, AGAIN_MS);
}
