// Words in an order that a model can learn: what small runs train on.

export function wordText(words: number, distinctWords = 701): string {
  const word = (i: number): string => `w${(i * i + 7 * i) % distinctWords}${i % 11 === 0 ? '.' : ''}`;
  return Array.from({ length: words }, (_, i) => word(i)).join(' ');
}
