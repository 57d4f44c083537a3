// Between the content and what Quill can show of it. Both sides have the same length at every
// place, so positions need no mapping: what Quill does not know becomes a placeholder, or is not shown.
import Delta, { type AttributeMap, Op } from 'quill-delta';
import type { DocumentType } from '../client';
import { equalJSON } from '../client/form';
import { blockFormats } from './formats';

/** The placeholder of an embed that Quill does not know. */
export const unknownEmbed = 'weft-unknown';

/** Shown instead of U+000D, which the DOM turns into another character. */
const carriageReturn = '\u240d';

/** What the editor can show. */
export interface Shows {
  type: DocumentType;
  format: (name: string, value: unknown) => boolean;
  embed: (name: string, value: unknown) => boolean;
}

function formats(attributes: AttributeMap | undefined, shows: Shows): AttributeMap | undefined {
  if (!attributes) return undefined;
  const shown = Object.entries(attributes).filter(([name, value]) => shows.format(name, value));
  const first = blockFormats.find((name) => shown.some(([other, value]) => other === name && value !== null));
  const kept = shown.filter(([name, value]) => value === null || name === first || !blockFormats.includes(name));
  return kept.length > 0 ? Object.fromEntries(kept) : undefined;
}

/** Formats that an edit sets: a value that cannot be shown takes away one that is. */
function changes(attributes: AttributeMap | undefined, shows: Shows): AttributeMap | undefined {
  if (!attributes) return undefined;
  const shown = Object.entries(attributes).map(([name, value]) => [name, shows.format(name, value) ? value : null]);
  return Object.fromEntries(shown.filter(([name, value]) => shows.format(name as string, value))) as AttributeMap;
}

/** A delta of the content as one of the view. */
export function toView(delta: Delta, shows: Shows): Delta {
  const out = new Delta();
  for (const op of delta.ops) {
    const attributes = formats(op.attributes, shows);
    if (typeof op.insert === 'string') out.insert(shows.type === 'text' ? op.insert.replaceAll('\r', carriageReturn) : op.insert, attributes);
    else if (op.insert) {
      const [name, value] = Object.entries(op.insert)[0] ?? ['', null];
      out.insert(shows.embed(name, value) ? op.insert : { [unknownEmbed]: { name, value } }, attributes);
    } else if (typeof op.retain === 'number') out.retain(op.retain, changes(op.attributes, shows));
    else if (op.delete) out.delete(op.delete);
  }
  return out;
}

/** The whole content as the view has it: Quill ends every text in a newline. */
export function contentToView(content: Delta, shows: Shows): Delta {
  const view = toView(content, shows);
  return shows.type === 'text' ? view.insert('\n') : view;
}

function embedFromView(insert: Record<string, unknown>): Record<string, unknown> {
  const hidden = insert[unknownEmbed] as { name: string; value: unknown } | undefined;
  return hidden ? { [hidden.name]: hidden.value } : insert;
}

/** A delta of the view as one of the content. In a text, what Quill does to its own last newline falls away. */
export function fromView(delta: Delta, shows: Shows, length: number): Delta {
  const out = new Delta();
  let left = shows.type === 'text' ? length : Infinity;
  const take = (n: number) => {
    const taken = Math.min(n, left);
    left -= taken;
    return taken;
  };
  for (const op of delta.ops) {
    if (typeof op.insert === 'string')
      out.insert(shows.type === 'text' ? op.insert.replaceAll(carriageReturn, '\r') : op.insert, shows.type === 'text' ? undefined : op.attributes);
    else if (op.insert) {
      if (shows.type === 'rich') out.insert(embedFromView(op.insert), op.attributes);
    } else if (typeof op.retain === 'number') out.retain(take(op.retain), shows.type === 'text' ? undefined : op.attributes);
    else if (op.delete) out.delete(take(op.delete));
  }
  return out.chop();
}

/**
 * An edit of content that gives lines a block format takes away the others that they have: Quill does so in
 * its view, and does not say it.
 */
export function oneBlockFormat(edit: Delta, content: Delta): Delta {
  if (!edit.ops.some((op) => op.retain !== undefined && blockFormats.some((name) => op.attributes?.[name]))) return edit;
  const out = new Delta();
  let at = 0;
  for (const op of edit.ops) {
    const length = typeof op.retain === 'number' ? op.retain : (op.delete ?? 0);
    const given = blockFormats.find((name) => op.retain !== undefined && op.attributes?.[name]);
    if (!given) out.push(op);
    else
      for (const line of content.slice(at, at + length).ops) {
        const others = blockFormats.filter((name) => name !== given && line.attributes?.[name] !== undefined);
        out.retain(Op.length(line), { ...op.attributes, ...Object.fromEntries(others.map((name) => [name, null])) });
      }
    at += length;
  }
  return out;
}

/** Whether two contents of the view have the same text and embeds, and the same formats. */
export function sameView(a: Delta, b: Delta): { text: boolean; all: boolean } {
  const plain = (d: Delta) => d.ops.map((op: Op) => (typeof op.insert === 'string' ? op.insert : '\ufffc')).join('');
  const text = plain(a) === plain(b);
  return { text, all: text && equalJSON(a.ops, b.ops) };
}
