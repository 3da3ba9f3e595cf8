// Small helpers for elements. All text goes in as text: a worker's name is never markup.

/** @param {string} id */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * @param {string} tag
 * @param {{ text?: string, class?: string, colour?: string }} [options]
 * @param {readonly Node[]} [children]
 */
export function element(tag, options = {}, children = []) {
  const made = document.createElement(tag);
  if (options.text !== undefined) made.textContent = options.text;
  if (options.class) made.className = options.class;
  if (options.colour) made.dataset['colour'] = options.colour;
  made.append(...children);
  return made;
}

/**
 * Sets the text only when it differs, so that a screen reader is not told again.
 * @param {HTMLElement} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
