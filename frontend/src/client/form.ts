// The form of a delta that the server takes, and how edits are brought into it.
import Delta, { AttributeMap, type Op } from 'quill-delta';

/** The type of a document: formatted text that always ends in a newline, or plain text. */
export type DocumentType = 'rich' | 'text';

const bytes = new TextEncoder();

/** The most components that a server takes in one delta, where it does not tell. */
const maxComponents = 10_000;

/** Delta's constructor keeps the array that it is given: this one is for deltas from outside. */
export function fromWire(ops: unknown): Delta {
  if (!Array.isArray(ops)) throw new TypeError('a delta must be an array of components');
  return new Delta(ops as Op[]);
}

/** The content of a document that has taken no operation. */
export function newborn(type: DocumentType): Delta {
  return type === 'rich' ? new Delta().insert('\n') : new Delta();
}

/**
 * Content after d. As compose, but a null attribute on an insert, which stays in an operation,
 * does not get into the content.
 */
export function apply(content: Delta, d: Delta): Delta {
  const nulls = d.ops.some((op) => op.insert !== undefined && op.attributes && Object.values(op.attributes).includes(null));
  if (!nulls) return content.compose(d);
  const plain = new Delta();
  for (const op of d.ops) plain.push(op.insert === undefined ? op : clean(op));
  return content.compose(plain);
}

/** The text of a content; an embed is U+FFFC, so that positions agree. */
export function textOf(content: Delta): string {
  return content.ops.map((op) => (typeof op.insert === 'string' ? op.insert : op.insert ? '\ufffc' : '')).join('');
}

/** The text that a delta inserts: what a user gets of an edit that cannot be saved. */
export function insertedText(...deltas: (Delta | null)[]): string {
  return deltas
    .flatMap((d) => d?.ops ?? [])
    .map((op) => (typeof op.insert === 'string' ? op.insert : ''))
    .join('');
}

/** Whether two values of JSON are the same, whatever the order of their keys. */
export function equalJSON(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((k) => Object.hasOwn(b, k) && equalJSON((a as Record<string, unknown>)[k], (b as Record<string, unknown>)[k]))
  );
}

/** A local edit that was brought into form. */
export interface Formed {
  /** In form, on the same content; null while the edit holds half a surrogate pair and must wait. */
  delta: Delta | null;
  /** What the view lacks: applied after the edit as it was made it gives the content after delta. */
  correction: Delta | null;
}

/**
 * Brings a local edit on content into form. What the builder's form allows stays as it is; where the edit removes or
 * passes the last newline, splits a pair or holds what the type does not know, the difference of contents is taken.
 */
export function inForm(type: DocumentType, content: Delta, edit: Delta): Formed {
  const built = new Delta();
  for (const op of edit.ops) built.push(checked(op));
  built.chop();
  if (isPlain(type, content, built)) return { delta: built, correction: null };

  const made = new Delta(content.compose(built).filter((op) => op.insert !== undefined)); // without what reached past the end
  const wanted = wellFormed(type, made);
  if (hasHalf(wanted)) return { delta: null, correction: null };
  const correction = diff(type, made, wanted);
  return { delta: diff(type, content, wanted), correction: correction.ops.length > 0 ? correction : null };
}

function checked(op: Op): Op {
  if (typeof op.retain === 'object') throw new TypeError('edits inside embeds are not supported');
  if (op.insert !== undefined) return clean(op);
  if (op.retain === undefined || !op.attributes) return op.delete === undefined ? { retain: op.retain } : { delete: op.delete };
  const attributes = permitted(op.attributes);
  return Object.keys(attributes).length > 0 ? { retain: op.retain, attributes } : { retain: op.retain };
}

/** An insert as it stands in a content: without null attributes, and without names that the algebra loses. */
function clean(op: Op): Op {
  const attributes = Object.fromEntries(Object.entries(permitted(op.attributes ?? {})).filter(([, v]) => v !== null));
  return Object.keys(attributes).length > 0 ? { insert: op.insert, attributes } : { insert: op.insert };
}

function permitted(attributes: AttributeMap): AttributeMap {
  return Object.fromEntries(Object.entries(attributes).filter(([k, v]) => !(k in Object.prototype) && v !== undefined && !hidesForbidden(v)));
}

function hidesForbidden(value: unknown): boolean {
  if (typeof value === 'string') return hasHalfPair(value);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([k, v]) => (!Array.isArray(value) && k in Object.prototype) || hidesForbidden(v));
}

/** Whether the delta can go as it is. Walks content only where a boundary could fall into a pair. */
function isPlain(type: DocumentType, content: Delta, d: Delta): boolean {
  const size = content.length();
  let at = 0;
  const boundaries: number[] = [];
  for (const op of d.ops) {
    if (op.insert !== undefined) {
      if (typeof op.insert === 'string' ? hasHalfPair(op.insert) || (type === 'rich' && op.insert.includes('\r')) : type === 'text') return false;
      if (typeof op.insert !== 'string' && hidesForbidden(op.insert)) return false;
      boundaries.push(at);
    } else {
      boundaries.push(at);
      at += (op.retain as number | undefined) ?? op.delete ?? 0;
      boundaries.push(at);
      if (type === 'rich' && op.delete && at >= size) return false;
    }
    if (type === 'text' && op.attributes) return false;
    if (type === 'rich' && op.insert !== undefined && at >= size) return false;
  }
  return at <= size && !boundaries.some((b) => splitsPair(content, b));
}

function splitsPair(content: Delta, index: number): boolean {
  let start = 0;
  for (const op of content.ops) {
    const length = typeof op.insert === 'string' ? op.insert.length : 1;
    if (index <= start) return false;
    if (index < start + length) return typeof op.insert === 'string' && (op.insert.codePointAt(index - start - 1) ?? 0) > 0xffff;
    start += length;
  }
  return false;
}

function wellFormed(type: DocumentType, content: Delta): Delta {
  const out = new Delta();
  for (const op of content.ops) {
    if (typeof op.insert !== 'string') {
      if (type === 'rich' && !hidesForbidden(op.insert)) out.push(clean(op));
    } else if (type === 'text') out.insert(op.insert);
    else out.insert(op.insert.replace(/\r\n?/g, '\n'), op.attributes);
  }
  if (type === 'rich' && !endsInNewline(out)) out.insert('\n');
  return out;
}

function endsInNewline(content: Delta): boolean {
  const tail = content.ops.at(-1)?.insert;
  return typeof tail === 'string' && tail.endsWith('\n');
}

function hasHalfPair(text: string): boolean {
  return /[\ud800-\udfff]/u.test(text);
}

function hasHalf(content: Delta): boolean {
  return content.ops.some((op) => typeof op.insert === 'string' && hasHalfPair(op.insert));
}

/**
 * The delta, in form, from content a to content b: on code point boundaries and without the last newline,
 * whose attributes alone may change. Halves of pairs (an editor's transient state) count as code points.
 */
export function diff(type: DocumentType, a: Delta, b: Delta): Delta {
  if (type === 'text' || !endsInNewline(a) || !endsInNewline(b)) return bodyDiff(a, b);
  const [aSize, bSize] = [a.length() - 1, b.length() - 1];
  const newline = AttributeMap.diff(a.ops.at(-1)?.attributes, b.ops.at(-1)?.attributes);
  const body = bodyDiff(a.slice(0, aSize), b.slice(0, bSize));
  return newline ? body.compose(new Delta().retain(bSize).retain(1, newline)) : body;
}

function bodyDiff(a: Delta, b: Delta): Delta {
  if (equalJSON(a.ops, b.ops)) return new Delta();
  // Halves of pairs, too: the search for a difference does not end on them.
  const points = new Set(
    [...a.ops, ...b.ops].flatMap((op) => (typeof op.insert === 'string' && op.insert.match(/[\u{10000}-\u{10ffff}\ud800-\udfff]/gu)) || []),
  );
  if (points.size === 0) return a.diff(b);
  const stand = standIns(points, textOf(a) + textOf(b));
  if (!stand) return new Delta(b.ops.slice()).concat(new Delta().delete(a.length()));
  const put = (d: Delta) =>
    d.ops.reduce((out, op) => out.push(typeof op.insert === 'string' ? { ...op, insert: replaceAll(op.insert, stand.to) } : op), new Delta());
  return unstand(put(a).diff(put(b)), put(a), stand.from);
}

/** One unused code unit of the private use area for each of the code points. */
function standIns(points: Set<string>, text: string): { to: Map<string, string>; from: Map<string, string> } | null {
  const used = new Set(text.match(/[\ue000-\uf8ff]/g) ?? []);
  const [to, from] = [new Map<string, string>(), new Map<string, string>()];
  let unit = 0xe000;
  for (const point of points) {
    while (used.has(String.fromCharCode(unit))) unit++;
    if (unit > 0xf8ff) return null;
    to.set(point, String.fromCharCode(unit));
    from.set(String.fromCharCode(unit), point);
    unit++;
  }
  return { to, from };
}

function replaceAll(text: string, by: Map<string, string>): string {
  return Array.from(text, (c) => by.get(c) ?? c).join('');
}

/** Turns a delta over stand-ins back into one over the text itself. */
function unstand(d: Delta, base: Delta, from: Map<string, string>): Delta {
  const text = textOf(base);
  const out = new Delta();
  let at = 0;
  const width = (n: number) => {
    const length = replaceAll(text.slice(at, at + n), from).length;
    at += n;
    return length;
  };
  for (const op of d.ops) {
    if (typeof op.insert === 'string') out.insert(replaceAll(op.insert, from), op.attributes);
    else if (op.insert !== undefined) out.push(op);
    else if (op.delete) out.delete(width(op.delete));
    else out.retain(width(op.retain as number), op.attributes);
  }
  return out;
}

/**
 * Splits d where the encoded first part would pass the limit in bytes, or most components, of which it takes
 * three to get on: base∘first∘rest is base∘d.
 * rest is null where d fits. A single embed beyond the limit stays whole; the server will refuse it.
 */
export function split(d: Delta, limit: number, most = maxComponents): { first: Delta; rest: Delta | null } {
  if (d.ops.length <= most && sizeOf(d.ops) <= limit) return { first: d, rest: null };
  const first = new Delta();
  let room = limit - 2;
  let reached = 0; // in what first leaves
  for (const [i, op] of d.ops.entries()) {
    const need = sizeOf(op) + 1;
    if (need <= room && first.ops.length < Math.max(most, 3) - 1) {
      first.push(op);
      room -= need;
      reached += typeof op.insert === 'string' ? op.insert.length : op.insert ? 1 : ((op.retain as number | undefined) ?? 0);
      continue;
    }
    const tail = d.ops.slice(i);
    const head = typeof op.insert === 'string' && first.ops.length < Math.max(most, 3) - 1 ? fitting(op, room) : '';
    if (head) {
      first.insert(head, op.attributes);
      reached += head.length;
      tail[0] = { ...op, insert: (op.insert as string).slice(head.length) };
    } else if (first.ops.length === 0) {
      first.push(op);
      reached += op.insert ? 1 : ((op.retain as number | undefined) ?? 0);
      tail.shift();
    }
    const rest = new Delta().retain(reached);
    for (const left of tail) rest.push(left);
    return { first, rest: tail.length > 0 ? rest : null };
  }
  return { first: d, rest: null };
}

/** The longest start of an insert, in whole code points, that fits into room. */
function fitting(op: Op, room: number): string {
  const text = op.insert as string;
  let [low, high] = [0, text.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (sizeOf({ ...op, insert: text.slice(0, middle) }) + 1 <= room) low = middle;
    else high = middle - 1;
  }
  if (low > 0 && (text.codePointAt(low - 1) ?? 0) > 0xffff) low--;
  return text.slice(0, low);
}

function sizeOf(value: unknown): number {
  return bytes.encode(JSON.stringify(value)).length;
}
