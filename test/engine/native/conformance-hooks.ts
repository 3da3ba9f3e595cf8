// Lets Node load tfjs's ES modules, which are written for bundlers: their imports leave out file endings, and
// their packages name CommonJS bundles. The tests of tfjs-core and our engine then use the same modules.
import type { ResolveFnOutput, ResolveHookContext } from 'node:module';

type Next = (specifier: string, context: ResolveHookContext) => Promise<ResolveFnOutput>;

/** For `import * as seedrandom`: bundlers give it the CommonJS package's functions, Node only a default export. */
async function resolveSeedrandom(context: ResolveHookContext, next: Next): Promise<ResolveFnOutput> {
  const { url } = await next('seedrandom', context);
  const source = `import seedrandom from '${url}'; export const { alea } = seedrandom;`;
  return { url: `data:text/javascript,${encodeURIComponent(source)}`, shortCircuit: true };
}

async function resolveWithEnding(
  specifier: string,
  context: ResolveHookContext,
  next: Next,
): Promise<ResolveFnOutput> {
  for (const ending of ['.js', '/index.js']) {
    try {
      return await next(specifier + ending, context);
    } catch {
      // It is the other one, or the file is named as it is.
    }
  }
  return next(specifier, context);
}

export async function resolve(
  specifier: string,
  context: ResolveHookContext,
  next: Next,
): Promise<ResolveFnOutput> {
  const format = 'module'; // which their package.json does not say
  if (/^@tensorflow\/[^/]+$/.test(specifier)) {
    const { url } = await next(specifier, context);
    return { url: new URL('index.js', url).href, format };
  }
  if (!context.parentURL?.includes('/node_modules/@tensorflow/')) {
    const found = await next(specifier, context);
    return specifier.startsWith('@tensorflow/') ? { ...found, format } : found;
  }
  if (specifier === 'seedrandom') return resolveSeedrandom(context, next);
  if (!specifier.startsWith('.') && !specifier.startsWith('@tensorflow/')) return next(specifier, context);
  return { ...(await resolveWithEnding(specifier, context, next)), format };
}
