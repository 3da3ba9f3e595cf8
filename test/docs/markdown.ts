// The commands, links and inline code of a Markdown page, as a reader would copy them.

export interface Command {
  /** The words as a shell would split them, without prompt, comment, redirections or leading variables. */
  readonly words: readonly string[];
  readonly line: number;
}

interface Block {
  /** What a fence says its language is; null for a block that is only indented. */
  readonly language: string | null;
  readonly lines: readonly { readonly text: string; readonly line: number }[];
}

/** Languages of fenced blocks whose every line is a command. */
const SHELLS: readonly (string | null)[] = ['sh', 'bash'];

function blocksOf(text: string): Block[] {
  const blocks: { language: string | null; lines: { text: string; line: number }[] }[] = [];
  let open: (typeof blocks)[number] | undefined;
  let isFenced = false;
  text.split('\n').forEach((content, index) => {
    const fence = /^ *```(\w*)/.exec(content);
    if (fence) {
      isFenced = !isFenced;
      open = isFenced ? { language: fence[1]!, lines: [] } : undefined;
      if (open) blocks.push(open);
    } else if (isFenced || content.startsWith('    ')) {
      if (!open) blocks.push((open = { language: null, lines: [] }));
      open.lines.push({ text: isFenced ? content : content.slice(4), line: index + 1 });
    } else if (content.trim() !== '') open = undefined;
  });
  return blocks;
}

/** Every command that a block of the page shows; in indented blocks, which show output as well, those of `tools` only. */
export function commandsOf(text: string, tools: readonly string[]): Command[] {
  return blocksOf(text).flatMap(({ language, lines }) => {
    if (language !== null && !SHELLS.includes(language)) return [];
    const commands = joinLines(lines).flatMap(({ text, line }) =>
      splitShell(text.replace(/^[\w-]*\$ /, '')).map((words) => ({ words, line })),
    );
    return language === null ? commands.filter(({ words }) => tools.includes(words[0]!)) : commands;
  });
}

/** A backslash at a line's end joins it with the next. */
function joinLines(lines: Block['lines']): { text: string; line: number }[] {
  const joined: { text: string; line: number }[] = [];
  let isOpen = false;
  for (const { text, line } of lines) {
    const content = text.replace(/\\$/, '');
    if (isOpen) joined.at(-1)!.text += content;
    else joined.push({ text: content, line });
    isOpen = text.endsWith('\\');
  }
  return joined;
}

/** The simple commands of a line: cut at pipes, `;`, `&` and `&&`, quotes taken off, comments and redirections left out. */
export function splitShell(line: string): string[][] {
  const commands: string[][] = [[]];
  const token = /\s+|#.*$|[|;&]+|\d?[<>]+&?\s*[^\s|;&]*|(?:'[^']*'|"[^"]*"|\\.|[^\s'"|;&\\<>])+/gy;
  for (const [text] of line.matchAll(token)) {
    if (/^[|;&]/.test(text)) commands.push([]);
    else if (!/^(\s|#|\d?[<>])/.test(text)) commands.at(-1)!.push(unquote(text));
  }
  return commands.map(withoutVariables).filter((words) => words.length > 0);
}

function unquote(word: string): string {
  return word.replace(
    /'([^']*)'|"([^"]*)"|\\(.)/g,
    (_, single?: string, double?: string, escaped?: string) => single ?? double ?? escaped ?? '',
  );
}

function withoutVariables(words: readonly string[]): string[] {
  const first = words.findIndex((word) => !/^[A-Za-z_]\w*=/.test(word));
  return first < 0 ? [] : words.slice(first);
}

/** What stands between backticks in running text. */
export function inlineCode(text: string): string[] {
  const prose = withoutBlocks(text);
  return [...prose.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
}

/** Targets of links and images that are files of the project, relative to the page. */
export function localLinks(text: string): string[] {
  const prose = withoutBlocks(text);
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1]!)
    .filter((target) => !/^[a-z]+:|^#/.test(target));
}

/** Anchors of the page's headings, as GitHub makes them. */
export function anchorsOf(text: string): string[] {
  return [...withoutBlocks(text).matchAll(/^#+ (.*)$/gm)].map((match) =>
    match[1]!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .trim()
      .replace(/ /g, '-'),
  );
}

function withoutBlocks(text: string): string {
  return text.replace(/^ *```[\s\S]*?^ *```/gm, '').replace(/^ {4}.*$/gm, '');
}
