// Finds a key that a JSON object holds twice, which JSON.parse accepts in silence. Knows nothing of safetensors.

/** End of the string that starts with the quote at `start`: the index after its closing quote. */
function stringEnd(text: string, start: number): number {
  let index = start + 1;
  while (text[index] !== '"') index += text[index] === '\\' ? 2 : 1;
  return index + 1;
}

/** The first key that repeats within one object of `text`, or null. `text` must be valid JSON. */
export function duplicateKey(text: string): string | null {
  // One entry per open bracket: the keys seen so far, or null in an array.
  const open: (Set<string> | null)[] = [];
  let keyExpected = false;
  for (let index = 0; index < text.length; index++) {
    const character = text[index];
    if (character === '"') {
      const end = stringEnd(text, index);
      const keys = open.at(-1);
      if (keyExpected && keys) {
        const key = JSON.parse(text.slice(index, end)) as string;
        if (keys.has(key)) return key;
        keys.add(key);
        keyExpected = false;
      }
      index = end - 1;
    } else if (character === '{') {
      open.push(new Set());
      keyExpected = true;
    } else if (character === '[') {
      open.push(null);
      keyExpected = false;
    } else if (character === '}' || character === ']') {
      open.pop();
      keyExpected = false;
    } else if (character === ',') {
      keyExpected = open.at(-1) !== null;
    }
  }
  return null;
}
