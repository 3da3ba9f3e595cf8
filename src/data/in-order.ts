// Streams of items worked on in parallel and used in their order.

/** Every n-th item, from the first. */
export async function* everyNth<Item>(items: AsyncIterable<Item>, stride: number): AsyncGenerator<Item> {
  let index = 0;
  for await (const item of items) if (index++ % stride === 0) yield item;
}

/** Runs `work` on the items, a bounded number of them at a time, and yields each with its result in the items' order. */
export async function* inOrder<Item, Result>(
  items: AsyncIterable<Item>,
  threads: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<[Item, Result]> {
  const underWay: [Item, Promise<Result>][] = [];
  const next = async (): Promise<[Item, Result]> => {
    const [item, result] = underWay.shift()!;
    return [item, await result];
  };
  for await (const item of items) {
    const result = work(item);
    // Reported when its turn comes.
    result.catch(() => {});
    underWay.push([item, result]);
    if (underWay.length >= 2 * threads) yield next();
  }
  while (underWay.length > 0) yield next();
}
